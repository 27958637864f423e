"""Stores that somebody else has written: each is refused in one line, and no file elsewhere is read or changed."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nowt.store.layout import Store
from nowt.store.run_log import read, read_all
from nowt.store.study_file import read_study_files
from nowt.store.sync.merge import merge
from nowt.tracking.sources import certificate_of
from tests.support.hostile_files import (
    CERTIFICATE,
    CHECKPOINT,
    NO_DATABASES,
    UNFINISHED,
    checkpoint,
    contents,
    refusal_of,
    write_files,
)


@pytest.fixture
def other(tmp_path: Path, valid: dict[str, bytes]) -> Path:
    """A valid store, to be spoiled."""
    return write_files(tmp_path / "other", valid)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def log(store: Path, key: str = UNFINISHED) -> Path:
    return Store(store).log(key)


def change_start(store: Path, **fields: Any) -> None:
    """Change the first line of the unfinished run's log."""
    first, _, rest = log(store).read_text().partition("\n")
    log(store).write_text(json.dumps({**json.loads(first), **fields}) + "\n" + rest)


def study_of(store: Path) -> Path:
    (path,) = Store(store).study_files()
    return path


def change_study(store: Path, **fields: Any) -> None:
    path = study_of(store)
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def merged(other: Path, here: Path) -> str:
    """The line with which a merge is refused; nothing but locks is written then."""
    line = refusal_of(lambda: merge(other, here, lambda text: None, NO_DATABASES))
    if line:
        assert {path for path in here.rglob("*") if path.is_file() and path.suffix != ".lock"} == set()
    return line


def test_a_valid_store_is_merged(other: Path, here: Path) -> None:
    assert merged(other, here) == ""
    assert checkpoint(here).read_text() == "state" and (here / "certificates" / CERTIFICATE).exists()


@pytest.mark.parametrize("name", ["{secret}", "../../outside/secret.json", "..", "rule.json", "certificate-a.json\n"])
def test_a_log_cannot_name_a_file_as_its_certificate(name: str, other: Path, here: Path, outside: Path) -> None:
    change_start(other, certificate=name.format(secret=outside / "secret.json"))
    assert "it must be the name of a certificate, or empty" in merged(other, here)
    assert "it must be the name of a certificate, or empty" in refusal_of(lambda: list(read_all(other)))


def test_a_link_is_no_certificate(other: Path, here: Path, outside: Path) -> None:
    change_start(other, certificate=CERTIFICATE)
    path = other / "certificates" / CERTIFICATE
    path.unlink()
    path.symlink_to(outside / "secret.json")
    assert f"certificates/{CERTIFICATE} is a link" in merged(other, here)
    assert certificate_of(other, read(log(other))) == ""  # also when the store itself is rebuilt


def link_log(store: Path, outside: Path) -> None:
    log(store).unlink()
    log(store).symlink_to(outside / "secret.json")


def link_checkpoint(store: Path, outside: Path) -> None:
    checkpoint(store).unlink()
    checkpoint(store).symlink_to(outside / "secret.json")


def link_folder(part: str) -> Callable[[Path, Path], None]:
    def link(store: Path, outside: Path) -> None:
        (store / part).rename(outside.parent / "moved")
        (store / part).symlink_to(outside.parent / "moved")

    return link


@pytest.mark.parametrize(
    "spoil",
    [link_log, link_checkpoint, *map(link_folder, ("logs", "studies", "certificates", "checkpoints"))],
    ids=["log", "checkpoint", "logs", "studies", "certificates", "checkpoints"],
)
def test_links_out_of_the_store_are_not_followed(
    spoil: Callable[[Path, Path], None], other: Path, here: Path, outside: Path
) -> None:
    spoil(other, outside)
    assert "is a link" in merged(other, here)


@pytest.mark.parametrize("key", ["../../x", "x", "rules-0123456\n", "rules-\x1b[2J-01234567", "a/b-01234567", 7, ["a"]])
def test_the_key_of_a_study_is_one_that_nowt_gives(key: object, other: Path, here: Path, outside: Path) -> None:
    change_study(other, key=key)
    assert "it must be a study key (such as rules_on_digits-1a2b3c4d)" in merged(other, here)
    assert "it must be a study key" in refusal_of(lambda: read_study_files(other))


def test_the_key_of_a_study_is_that_of_its_file(other: Path, here: Path) -> None:
    change_study(other, key="another-01234567")
    assert "is the file of study another-01234567" in merged(other, here)


@pytest.mark.parametrize("key", ["../../x", "0123456789AB", "0123456789ab\n", "", None])
def test_the_keys_of_runs_are_ones_that_nowt_gives(key: object, other: Path, here: Path) -> None:
    change_study(other, runs=[{"key": key, "cell": "bp", "seed": 0}])
    assert "it must be a run key (12 hexadecimal digits)" in merged(other, here)


@pytest.mark.parametrize(
    "name",
    [
        "logs/x.jsonl",
        "logs/0123456789ab\n.jsonl",
        "logs/\x1b[2J.jsonl",
        "studies/x.json",
        "studies/x\ny-01234567.json",
        "studies/x.runs.jsonl",
        "certificates/other.json",
        f"checkpoints/{UNFINISHED}/step-x.pt",
    ],
)
def test_files_with_other_names_are_not_merged(name: str, other: Path, here: Path, valid: dict[str, bytes]) -> None:
    path = other / name
    path.write_bytes(valid[f"logs/{UNFINISHED}.jsonl"])
    assert "is not named as" in merged(other, here)


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # a name of at most 107 characters


@pytest.mark.parametrize("put", [put_socket, os.mkfifo, os.mkdir], ids=["socket", "pipe", "folder"])
def test_what_is_no_file_is_named(put: Callable[[Path], None], other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(other)
    for path, reader in ((log(other), read_all), (study_of(other), read_study_files)):
        path.unlink()
        put(path)
        line = refusal_of(lambda reader=reader: list(reader(other)))  # type: ignore[misc]
        assert line == f"nowt: {path} is not a file: move it out of the store"


def test_a_pipe_is_no_log(other: Path, here: Path) -> None:
    log(other).unlink()
    os.mkfifo(log(other))
    assert "is not a file: move it out" in merged(other, here)
    assert "is not a file: move it out of the store" in refusal_of(lambda: list(read_all(other)))


@pytest.mark.parametrize("name", [f"logs/{UNFINISHED}.jsonl", f"checkpoints/{UNFINISHED}/{CHECKPOINT}"])
def test_an_endless_file_is_not_read(name: str, other: Path, here: Path) -> None:
    with (other / name).open("r+b") as file:
        file.truncate(2**40)  # no space is used on the disk
    assert "more than any file that nowt writes" in merged(other, here)


def test_an_endless_log_is_not_read_either_when_its_store_is_reported(other: Path) -> None:
    with log(other).open("r+b") as file:
        file.truncate(2**40)
    assert "larger than any file that nowt writes" in refusal_of(lambda: list(read_all(other)))


DEEP = "[" * 300 + "]" * 300

WRONG_LINES = {
    "deep": (f'{{"kind": "remark", "time": 1, "a": {DEEP}}}', "it is nested too deeply"),
    "deeper": ("[" * 100_000, "it is nested too deeply"),
    "NaN": ('{"kind": "remark", "time": NaN}', "NaN is not JSON"),
    "infinity": ('{"kind": "end", "time": 1, "state": "failed", "reason": "", "epoch": -Infinity}', "is not JSON"),
    "a number without end": ('{"kind": "remark", "time": 1, "a": 1e999}', "1e999 is too large a number"),
    "one without exponent": ('{"kind": "remark", "time": 1, "a": -1' + "0" * 400 + ".0}", "is too large a number"),
    "half a character": ('{"kind": "remark", "time": 1, "a": "\\ud800"}', "its text has half of a character"),
    "a huge number": ('{"kind": "remark", "time": 1' + "0" * 400 + "}", "it must be a time in milliseconds"),
    "an endless number": ('{"kind": "remark", "time": ' + "1" * 10_000 + "}", "is not a line of an epoch log"),
    "another state": ('{"kind": "end", "time": 1, "state": "won", "reason": ""}', 'state is "won": it must be one of'),
    "a control character": ('{"kind": "end", "time": 1, "state": "\\u001b[2J", "reason": ""}', "it must be one of"),
}


@pytest.mark.parametrize(("text", "fault"), WRONG_LINES.values(), ids=WRONG_LINES)
def test_a_line_that_nowt_does_not_write_is_refused(text: str, fault: str, other: Path, here: Path) -> None:
    with log(other).open("a") as file:
        file.write(text + "\n")
    line = merged(other, here)
    assert f"logs/{UNFINISHED}.jsonl, line 3 is not a line of an epoch log (" in line and fault in line


def test_a_study_file_is_not_nested_deeply(other: Path, here: Path) -> None:
    study_of(other).write_text(f'{{"key": {DEEP}}}')
    assert "is not JSON (it is nested too deeply)" in merged(other, here)


@pytest.mark.parametrize("place", ["study", "run", "appended run"])
def test_a_number_that_no_reader_accepts_is_not_merged(place: str, other: Path, here: Path) -> None:
    path = study_of(other)
    written = path.with_name(f"{path.stem}.runs.jsonl") if place == "appended run" else path
    text = written.read_text()
    start = text.index('"key": "', text.index('"runs"') if place == "run" else 0)
    written.write_text(f'{text[:start]}"unknown": 1e999, {text[start:]}')
    line = merged(other, here)
    assert f"studies/{written.name}" in line and "1e999 is too large a number" in line


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda config: config.clear(), "cells[0].config has no data, epochs, model, rule, seed"),
        (lambda config: config.pop("rule"), "cells[0].config has no rule"),
        (lambda config: config.update(model="mlp"), 'cells[0].config.model is "mlp": it must be an object'),
        (lambda config: config["rule"].pop("name"), "cells[0].config.rule has no name"),
        (lambda config: config.update(epochs="4"), 'cells[0].config.epochs is "4": it must be a whole number'),
    ],
)
def test_a_cell_whose_config_no_report_could_show_is_not_merged(
    change: Callable[[dict[str, Any]], object], fault: str, other: Path, here: Path
) -> None:
    cells = json.loads(study_of(other).read_text())["cells"]
    change(cells[0]["config"])
    change_study(other, cells=cells)
    assert fault in merged(other, here)


@pytest.mark.parametrize("part", ["name", "reference", "sampler"])
def test_names_have_no_control_characters(part: str, other: Path, here: Path) -> None:
    change_study(other, **{part: "a\x1b]0;title\x07"})
    assert f'({part} is "a\\u001b]0;title\\u0007": it must be' in merged(other, here)


def test_a_lock_does_not_truncate_the_file_that_a_link_names(other: Path, here: Path, outside: Path) -> None:
    (here / "studies").mkdir()
    Store(here).lock(study_of(other).stem).symlink_to(outside / "secret.json")
    before = contents(here)
    assert "is a link: delete it" in refusal_of(lambda: merge(other, here, lambda text: None, NO_DATABASES))
    assert contents(here) == before
