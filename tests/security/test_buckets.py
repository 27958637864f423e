"""Buckets that somebody else has written to: what nowt restore, pull and --checkpoints take from them."""

import json
from pathlib import Path

import pytest

from nowt.store.layout import Store
from nowt.store.sync.checkpoint_bucket import CheckpointBucket
from nowt.store.sync.pull import pull
from tests.support.hostile_files import (
    NO_DATABASES,
    UNFINISHED,
    URL,
    MemoryBucket,
    backup_of,
    labelled,
    refusal_of,
    restored,
    write_files,
)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def saved(valid: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a valid backup, which has no checkpoints."""
    return {name: data for name, data in valid.items() if not name.startswith("checkpoints/")}


PLANTED = [
    "keeper/credentials",
    "keeper/signing-key",
    "keeper/auth.db",
    "keeper/auth.ini",
    "keeper/artifacts/../credentials",
    "keeper/artifacts/.hidden",
    "copy.json",
    "mine.py",
    "logs/mine.py",
    "studies/../../x.json",
    "/etc/passwd",
    "../x",
    "",
    "logs/x.jsonl",
    "logs/0123456789ab.jsonl\n",
    "logs/\x1b[2J.jsonl",
    "studies/x.json",
    "certificates/x.json",
    "certificates/certificate-a.json/x",
    "checkpoints/0123456789ab/step-000000012.pt",
    "probes/rules-01234567/cka.jsonl",
    "frames/index.json",
    "delivered/x/url",
    "earlier/x",
    "optuna.db-wal",
    f"logs/{'a' * 300}.jsonl",
]


@pytest.mark.parametrize("name", PLANTED)
def test_a_backup_with_other_files_is_refused_as_a_whole(
    name: str, saved: dict[str, bytes], bucket: MemoryBucket, tmp_path: Path, outside: Path
) -> None:
    bucket.objects = backup_of({**saved, name: b"planted"})
    for action in (
        lambda: restored(tmp_path / "new"),
        lambda: pull(URL, tmp_path / "new", lambda line: None, NO_DATABASES),
    ):
        line = refusal_of(action)
        assert "which is not a file of a backup. Nothing was restored" in line and URL in line
        assert names(tmp_path / "new") <= {".restoring.lock"}


@pytest.mark.parametrize("content", ["../manifest.json", "", "A" * 64, "0" * 63, 5, None])
def test_the_name_of_an_object_is_a_hash(content: object, bucket: MemoryBucket, tmp_path: Path) -> None:
    bucket.objects = backup_of({}, hashes={"optuna.db": content})
    assert "manifest.json" in refusal_of(lambda: restored(tmp_path / "new"))
    assert names(tmp_path / "new") <= {".restoring.lock"}


def test_nothing_that_nowt_serve_trusts_is_restored_unasked(
    saved: dict[str, bytes], bucket: MemoryBucket, tmp_path: Path
) -> None:
    server = {"keeper/mlflow.db": b"theirs", "keeper/artifacts/1/a/artifacts/config.json": b"{}"}
    bucket.objects = backup_of({**saved, **server, "mlflow.db": b"old", "artifacts/rules/x/artifacts/a.html": b"old"})
    restored(tmp_path / "new")
    assert names(tmp_path / "new") == {*saved, "copy.json", ".restoring.lock"}
    restored(tmp_path / "own", server=True)
    assert names(tmp_path / "own") == {*saved, *server, "copy.json", ".restoring.lock"}
    assert Store(tmp_path / "own").tracking_server.stat().st_mode & 0o777 == 0o700


def test_the_database_of_a_server_in_use_is_not_replaced(
    saved: dict[str, bytes], bucket: MemoryBucket, tmp_path: Path, valid: dict[str, bytes]
) -> None:
    store = write_files(tmp_path / "here", {**valid, "keeper/mlflow.db": b"ours"})
    bucket.objects = backup_of({**saved, "keeper/mlflow.db": b"theirs"})
    restored(store, server=True)
    assert (store / "keeper/mlflow.db").read_bytes() == b"ours"


@pytest.mark.parametrize(
    "manifest",
    [b"", b"{", b"[]", b"5", b"[" * 100_000, b'{"files": NaN}', b'{"store": "\\u001b[2J", "files": {}}', b"\xff"],
    ids=["empty", "cut", "list", "number", "deep", "nan", "escape", "bytes"],
)
def test_a_wrong_manifest_is_refused_in_one_line(manifest: bytes, bucket: MemoryBucket, tmp_path: Path) -> None:
    bucket.objects = {"manifest.json": manifest}
    line = refusal_of(lambda: restored(tmp_path / "new"))
    assert f"{URL}/manifest.json is not the manifest of a backup (" in line


NAMES = [
    "step-1/../../../x.pt",
    "step-000000012.pt/../../x.pt",
    "../step-000000012.pt",
    "step-12.pt",
    "step-١٢٣٤٥٦٧٨٩.pt",
    f"step-{'9' * 5000}.pt",
    "step-000000012.pt\n",
    "step-000000012\x1b[2J.pt",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_objects_with_other_names_than_checkpoints_are_ignored(
    name: str, bucket: MemoryBucket, tmp_path: Path, outside: Path
) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    bucket.objects = {**labelled(name), **labelled("step-000000003.pt")}
    lines: list[str] = []
    CheckpointBucket.from_url(URL, UNFINISHED).fetch(folder, (), 0, lines.append)
    assert names(tmp_path) - {"outside/secret.json", "outside/rule.py"} == {"a/b/step-000000003.pt"}
    assert lines == []


@pytest.mark.parametrize("label", [b"[" * 100_000, b"\xff", b'{"name": 1e999}', b"null", b""])
def test_a_wrong_label_is_reported_and_the_checkpoint_before_is_used(
    label: bytes, bucket: MemoryBucket, tmp_path: Path
) -> None:
    bucket.objects = {**labelled("step-000000003.pt"), "step-000000005.pt": b"x", "step-000000005.json": label}
    lines: list[str] = []
    CheckpointBucket.from_url(URL, UNFINISHED).fetch(tmp_path, (), 0, lines.append)
    assert names(tmp_path) == {"step-000000003.pt"} and len(lines) == 1 and "has an invalid label" in lines[0]


@pytest.mark.parametrize("key", ["", "../x", "x/y", "0123456789ab/.."])
def test_checkpoints_belong_to_a_run(key: str) -> None:
    assert "is not a run key" in refusal_of(lambda: CheckpointBucket.from_url(URL, key))


def test_a_file_that_changes_while_it_is_fetched_is_not_restored(
    saved: dict[str, bytes], bucket: MemoryBucket, tmp_path: Path
) -> None:
    bucket.objects = {name: data if name == "manifest.json" else data + b" " for name, data in backup_of(saved).items()}
    assert json.loads(bucket.objects["manifest.json"])["files"]
    assert "changed while" in refusal_of(lambda: restored(tmp_path / "new"))
