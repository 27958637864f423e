"""Spoiled stores: every command succeeds or refuses in one line, and nothing outside its store changes."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.frames.claim_record import runs_before_claim
from analysis.frames.searches import SearchPlan
from analysis.frames.store.store import rebuild_frames
from analysis.frames.studies import find_study
from analysis.frames.study import read_frames, require_counted_runs
from analysis.frames.trials import read_trials
from analysis.tables.final import final_table
from nowt.cli.tables import run_page, runs_table
from nowt.store.run_log import read_all
from nowt.store.study_file import read_study_files
from nowt.store.sync.checkpoint_bucket import CheckpointBucket
from nowt.store.sync.merge import merge
from nowt.store.sync.pull import pull
from nowt.tracking.recorder import Recorder
from tests.support.hostile_files import (
    NO_DATABASES,
    UNFINISHED,
    URL,
    MemoryBucket,
    backup_of,
    contents,
    labelled,
    memory_bucket,
    refusal_of,
    restored,
    write_files,
)

EXAMPLES = int(os.environ.get("NOWT_EXAMPLES", "500"))

Command = Callable[[Path, dict[str, bytes], MemoryBucket], None]

NAMES = [
    "..",
    "../x",
    "/etc/x",
    "x",
    "a\nb",
    "\x1b[2J",
    "",
    ".",
    "ü",
    "a" * 300,
    "0123456789AB",
    "con/../../x",
    "\udc80",
]

NUMBERS = [-1, 0, 1, 2**31, 2**63, 10**400, 1.5, 1e308, float("nan"), float("inf"), True]

TEXTS = ["", "x", "../../x", "/etc/x", "a\nb", "\x1b]0;x\x07", "\u202e", "\ud800", "[red]", "[/x]", "'", "{}", "%s"]

KEYS = ["0123456789ab", "rules-01234567", "mine.py:Rule", "os:abort", "finished", "diverged", "stopped"]

PARTS = [None, [], [1], [[]], ["a"], {}, {"a": 1}, {"name": "bp"}, {"name": 5}]

VALUES: list[Any] = [*NUMBERS, *TEXTS, *KEYS, *PARTS]

DEEP = "[" * 100 + "]" * 100

LONG = b'"' + b"a" * 99_999 + b'"'

RAW = [b"", b"\n", b"{", b"null\n", b"[]\n", b"\xff\n", b"\0" * 100, b"[" * 5000, f"{DEEP}\n".encode(), LONG + b"\n"]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values within a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, inner in items for place in places(inner, (*path, name)))]


def changed(value: Any, path: Sequence[Any], new: Any) -> Any:
    """The JSON value with ``new`` at a path."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


def change_value(draw: Any, data: bytes) -> bytes:
    """A file with another value in one of its JSON lines, or without one."""
    lines = [data] if data.startswith(b"{\n") else data.splitlines()
    number = draw(st.integers(0, len(lines) - 1))
    value = json.loads(lines[number])
    place = draw(st.sampled_from(places(value)))
    if place and isinstance(place[-1], str) and draw(st.booleans()):
        parent = value
        for name in place[:-1]:
            parent = parent[name]
        del parent[place[-1]]
    else:
        value = changed(value, place, draw(st.sampled_from(VALUES)))
    lines[number] = json.dumps(value).encode()
    return b"\n".join(lines) + b"\n"


def spoiled(draw: Any, files: dict[str, bytes]) -> dict[str, bytes]:
    """The files with one or two changes: of a value, of a content, or of a name."""
    found = dict(files)
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(found)))
        kind = draw(st.sampled_from(["value"] * 6 + ["raw", "cut", "name", "copy"]))
        if kind == "value" and name.endswith(("json", "jsonl")) and found[name] in files.values():
            found[name] = change_value(draw, found[name])
        elif kind == "raw":
            found[name] += draw(st.sampled_from(RAW)) if draw(st.booleans()) else b""
            found[name] = found[name] if draw(st.booleans()) else draw(st.sampled_from(RAW))
        elif kind == "cut":
            found[name] = found[name][: draw(st.integers(0, len(found[name])))]
        else:
            folder, _, _ = name.rpartition("/")
            suffix = name[name.index(".", len(folder)) :]
            found[f"{folder}/{draw(st.sampled_from(NAMES))}{suffix}"] = found[name]
            if kind == "name":
                del found[name]
    return found


class Client:
    """What nowt uses of MLflow's client, for an empty database."""

    made = 0

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str, place: str, tags: dict[str, str]) -> str:
        return "1"

    def search_runs(self, *_: object, **__: object) -> list[object]:
        return []

    def create_run(self, *_: object) -> Any:
        self.made += 1
        return SimpleNamespace(info=SimpleNamespace(run_id=str(self.made), artifact_uri="mlflow-artifacts:/"))

    def get_metric_history(self, *_: object) -> list[object]:
        return []

    def log_text(self, run: str, text: str, name: str) -> None:
        text.encode()

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def on_disk(root: Path, files: dict[str, bytes], name: str) -> Path:
    """The files of a store that can be written: names that lead out of it are only possible in a bucket."""
    safe = {path: data for path, data in files.items() if ".." not in path and "//" not in path and len(path) < 200}
    return write_files(root / name, safe)


def merges(root: Path, files: dict[str, bytes], held: MemoryBucket) -> None:
    (root / "here").mkdir()
    merge(on_disk(root, files, "other"), root / "here", lambda line: None, NO_DATABASES)


def pulls(root: Path, files: dict[str, bytes], held: MemoryBucket) -> None:
    held.objects = backup_of(files)
    (root / "here" / "logs").mkdir(parents=True)  # so that the backup is merged
    pull(URL, root / "here", lambda line: None, NO_DATABASES)


def restores(root: Path, files: dict[str, bytes], held: MemoryBucket) -> None:
    held.objects = backup_of(files)
    restored(root / "here")
    list(read_all(root / "here"))


def reports(root: Path, files: dict[str, bytes], held: MemoryBucket) -> None:
    store = on_disk(root, files, "here")
    plan = find_study(store)
    if isinstance(plan, SearchPlan):
        read_trials(store, plan)
        return
    frames = read_frames(store, plan)
    runs_before_claim(store, plan, read_logs_of(frames))
    require_counted_runs(frames)
    final_table(frames)


def read_logs_of(frames: Any) -> Any:
    from analysis.frames.store.logs import read_logs

    return read_logs(frames.store)


def rebuilds(root: Path, files: dict[str, bytes], held: MemoryBucket) -> None:
    store = on_disk(root, files, "here")
    for study in [*read_study_files(store), None]:
        Recorder.for_client(Client(), store, study)  # type: ignore[arg-type]
    rebuild_frames(store)


def lists(root: Path, files: dict[str, bytes], held: MemoryBucket) -> None:
    store = on_disk(root, files, "here")
    runs_table(store, rule=None, state=None, study=None)
    run_page(store, UNFINISHED)


def fetches(root: Path, files: dict[str, bytes], held: MemoryBucket) -> None:
    held.objects = {name.rpartition("/")[2]: data for name, data in files.items()}
    remote = CheckpointBucket.from_url(URL, UNFINISHED)
    remote.fetch(root / "here", (), 0, lambda line: None)
    remote.epochs()


def originals(command: Command, valid: dict[str, bytes]) -> dict[str, bytes]:
    """The valid files that a command reads: a checkpoint in a bucket, a backup (without any), or a store."""
    if command is fetches:
        return labelled("step-000000012.pt")
    backup = command in (pulls, restores)
    return {name: data for name, data in valid.items() if not (backup and name.startswith("checkpoints/"))}


# how often each is tried: reports take the longest
COMMANDS = [merges, pulls, restores, lists] * 3 + [rebuilds, fetches] * 2 + [reports]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the stores, with a file of the user beside them."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "mine").write_text("of the user")
    return folder


@given(data=st.data())
@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
def test_a_spoiled_store_is_refused_in_one_line_or_is_valid(data: Any, root: Path, valid: dict[str, bytes]) -> None:
    command = data.draw(st.sampled_from(COMMANDS))
    files = spoiled(data.draw, originals(command, valid))
    try:
        with memory_bucket() as held:
            refusal_of(lambda: command(root, files, held))
    finally:
        for name in ("here", "other"):
            shutil.rmtree(root / name, ignore_errors=True)
    assert contents(root).keys() == {"mine"} and (root / "mine").read_text() == "of the user"
