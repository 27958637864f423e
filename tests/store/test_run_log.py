"""The epoch log: incomplete lines are dropped, NaN is kept, epochs are unique, and invalid files are reported."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nowt.store.locks import LogInUse
from nowt.store.records import SCHEMA, Epoch, Layer, RunLog, epoch_from_json, epoch_to_json
from nowt.store.run_log import LogWriter, read, read_all
from tests.support.forked_children import exit_code_of_child

NAN = float("nan")
CONFIG = {"rule": {"name": "bp"}, "model": {"name": "mlp"}, "data": {"name": "digits"}, "seed": 0, "epochs": 3}

FACTS = {"config": CONFIG, "fingerprint": "f", "classes": 10}


def epoch(number: int, **changes: Any) -> Epoch:
    layers = (Layer("conv1", 0, 89.5, NAN, 1.25), Layer("fc", 1, NAN, 0.1 + 0.2, NAN))
    e = Epoch(number, 3 * number, 0.1, NAN, NAN, 2.3, 0.9, NAN, NAN, 48 * number, 0, 1e15 / 3, 0.5, 0.25, layers)
    return replace(e, **changes)


def same(a: Any, b: Any) -> bool:
    """Equal, where NaN equals NaN."""
    return repr(a) == repr(b)


def reopened(log: LogWriter) -> LogWriter:
    """The writer of a new process after the previous one has ended."""
    del log.lock
    return LogWriter.open(log.path.parents[1], log.path.stem)


def writer(folder: Path, epochs: int = 0) -> LogWriter:
    """The writer of a run that has started and logged epochs 0 to ``epochs`` - 1."""
    log = LogWriter.open(folder, "0123456789ab")
    log.start("0123456789ab", **FACTS)
    for number in range(epochs):
        assert log.epoch(epoch(number))
    return log


def lines(log: LogWriter) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.path.read_text().splitlines()]


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    log = writer(tmp_path, epochs=3)
    log.end("finished")
    run = read(log.path)
    assert same(run, log.run)
    assert (run.key, run.state, run.reason, run.attempts, run.last_epoch) == ("0123456789ab", "finished", "", 1, 2)
    assert (
        {k: run.start[k] for k in FACTS} == FACTS
        and run.start["schema"] == SCHEMA
        and run.start["key"] == "0123456789ab"
    )
    assert same(run.epochs, tuple(epoch(number) for number in range(3)))
    assert list(run.times) == sorted(run.times) and len(run.times) == 3


numbers = st.floats(allow_infinity=False)

layers = st.builds(Layer, st.text(), st.integers(0, 200), numbers, numbers, numbers)

counts = st.integers(0, 2**53)

records = st.builds(
    Epoch, counts, counts, *[numbers] * 7, counts, counts, *[numbers] * 3, st.lists(layers, max_size=3).map(tuple)
)


@given(record=records)
@settings(max_examples=60, deadline=None)
def test_every_number_is_read_back_bit_for_bit_and_nan_as_nan(record: Epoch) -> None:
    text = json.dumps(epoch_to_json(record), allow_nan=False)  # standard JSON
    assert same(epoch_from_json(json.loads(text)), record)


@given(record=records)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_layers_may_have_any_name(record: Epoch, tmp_path: Path) -> None:
    (tmp_path / "logs" / "0123456789ab.jsonl").unlink(missing_ok=True)
    log = writer(tmp_path)
    log.epoch(record)
    assert same(read(log.path).epochs, (record,))


@given(text=st.text(st.characters(exclude_categories=()), max_size=8))
@example(text="caf\udce9.jpg")
@example(text="\\\udce9 \ud83d\ude00 \U0001f600 \\ud800")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_log_may_have_any_text_such_as_names_of_files_that_are_not_utf_8(text: str, tmp_path: Path) -> None:
    (tmp_path / "logs" / "0123456789ab.jsonl").unlink(missing_ok=True)
    log = writer(tmp_path)
    log.resume(-1, **{**FACTS, "fingerprint": "other"}, skipped=[text])
    log.end("failed", text)
    run = read(log.path)
    assert same(run, log.run)
    assert run.reason == text.encode(errors="backslashreplace").decode()


def test_a_skipped_image_whose_name_is_not_utf_8_is_no_change_when_the_run_resumes(tmp_path: Path) -> None:
    log = LogWriter.open(tmp_path, "0123456789ab")
    facts = {**FACTS, "skipped": ["caf\udce9.jpg: broken"]}
    log.start("0123456789ab", **facts)
    log = reopened(log)
    log.resume(-1, **facts)
    run = read(log.path)
    assert run.start["skipped"] == ["caf\\udce9.jpg: broken"]
    assert run.spans[-1].changed == {}


def test_the_file_is_standard_json_with_null_for_undefined_numbers(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.epoch(epoch(0, val_loss=math.inf))

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    line = json.loads(log.path.read_text().splitlines()[1], parse_constant=refuse)
    assert (line["train_loss"], line["test_error"], line["val_loss"]) == (None, None, None)
    assert line["layers"][1]["matrix_angle"] is None
    (found,) = read(log.path).epochs
    undefined = (found.train_loss, found.test_error, found.val_loss, found.layers[0].delta_angle)
    assert all(math.isnan(value) for value in undefined)


def test_an_incomplete_last_line_is_dropped_wherever_the_crash_cut_it(tmp_path: Path) -> None:
    log = writer(tmp_path, epochs=2)
    whole = log.path.read_bytes()
    before = len(b"".join(whole.splitlines(keepends=True)[:-1]))
    for cut in range(before, len(whole)):
        log.path.write_bytes(whole[:cut])
        assert read(log.path).last_epoch == 0
    again = reopened(log)
    assert log.path.read_bytes() == whole[:before]
    assert again.epoch(epoch(1))
    assert same(read(log.path).epochs, (epoch(0), epoch(1)))


def test_an_incomplete_start_line_is_written_again(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.path.write_bytes(log.path.read_bytes()[:20])
    again = reopened(log)
    assert again.run == RunLog("0123456789ab", {})
    again.start("0123456789ab", **FACTS)
    assert [line["kind"] for line in lines(again)] == ["start"]


def test_reading_a_log_that_is_being_written_does_not_change_it(tmp_path: Path) -> None:
    log = writer(tmp_path, epochs=1)
    with log.path.open("ab") as file:
        file.write(b'{"kind": "epoch", "ep')
    content = log.path.read_bytes()
    assert read(log.path).last_epoch == 0
    assert log.path.read_bytes() == content


def test_a_logged_epoch_is_not_written_again(tmp_path: Path) -> None:
    log = writer(tmp_path, epochs=3)
    content = log.path.read_bytes()
    assert [log.epoch(epoch(number, val_loss=9.9)) for number in (0, 2, 1)] == [False] * 3
    again = reopened(log)
    assert [again.epoch(epoch(number)) for number in range(3)] == [False] * 3
    assert log.path.read_bytes() == content
    assert again.epoch(epoch(3)) and not again.epoch(epoch(3))
    assert [line["epoch"] for line in lines(log)[1:]] == [0, 1, 2, 3]


def test_attempts_are_counted_and_the_last_end_counts(tmp_path: Path) -> None:
    log = writer(tmp_path, epochs=1)
    log.end("failed", "the disk is full")
    assert (read(log.path).state, read(log.path).reason) == ("failed", "the disk is full")
    again = reopened(log)
    again.resume(0)
    assert (read(log.path).state, read(log.path).reason, read(log.path).attempts) == ("running", "", 2)
    again.epoch(epoch(1))
    again.end("finished")
    assert same(read(log.path), again.run)
    assert (again.run.state, again.run.attempts, again.run.last_epoch) == ("finished", 2, 1)


def test_a_run_that_failed_before_its_start_line_is_running_once_it_starts(tmp_path: Path) -> None:
    log = LogWriter.open(tmp_path, "0123456789ab")
    log.end("failed", "there are no images")
    again = reopened(log)
    assert (again.run.state, again.run.start) == ("failed", {})
    again.start("0123456789ab", **FACTS)
    assert (again.run.state, again.run.reason) == ("running", "")
    assert same(read(log.path), again.run)


def spoiled(path: Path, text: str) -> str:
    """The one-line error for a log with ``text`` as its second line."""
    path.write_text(json.dumps({"kind": "start", "schema": 1, "key": "0123456789ab", "time": 0}) + "\n" + text + "\n")
    with pytest.raises(ValueError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


INVALID_LINES = """
garbage
{
{"kind": "epoch"
12
[]
null
"text"
{}
{"time": 1}
{"kind": "end"}
{"kind": "resume"}
{"kind": "epoch", "time": 1}
{"kind": "epoch", "time": 1, "layers": 3}
{"kind": "epoch", "epoch": 1, "layers": []}
"""


@pytest.mark.parametrize("text", ["", "\0\0\0\0", *INVALID_LINES.split("\n")[1:-1]])
def test_an_invalid_line_is_reported_with_its_number(text: str, tmp_path: Path) -> None:
    path = tmp_path / "0123456789ab.jsonl"
    message = spoiled(path, text)
    assert message.startswith(f"{path}, line 2 is not a line of an epoch log (")
    assert message.endswith("): move the file away")


def test_a_binary_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "0123456789ab.jsonl"
    path.write_bytes(bytes(range(128, 256)) + b"\n")
    with pytest.raises(
        ValueError, match=r"0123456789ab\.jsonl, line 1 is not a line of an epoch log \(.*\): move the file away$"
    ):
        read(path)


def test_a_log_of_a_newer_nowt_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "0123456789ab.jsonl"
    message = spoiled(path, json.dumps({"kind": "start", "schema": SCHEMA + 1, "key": "0123456789ab"}))
    assert message == f"{path} has log schema {SCHEMA + 1}, this version of nowt reads up to {SCHEMA}: update nowt"


def test_unknown_fields_of_an_epoch_are_ignored() -> None:
    assert same(epoch_from_json({**epoch_to_json(epoch(4)), "kind": "epoch", "watts": 7}), epoch(4))


def test_read_all_returns_the_started_runs_of_a_store_by_key(tmp_path: Path) -> None:
    for key in ("bbbbbbbbbbbb", "aaaaaaaaaaaa", "cccccccccccc"):
        LogWriter.open(tmp_path, key).start(key, **FACTS)
    LogWriter.open(tmp_path, "dddddddddddd").end("failed", "no images")
    (tmp_path / "logs" / "eeeeeeeeeeee.jsonl").write_text("")
    assert [run.key for run in read_all(tmp_path)] == ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"]
    assert list(read_all(tmp_path / "nothing here")) == []


def test_the_last_epoch_of_a_run_without_epochs_is_minus_one() -> None:
    assert RunLog("0123456789ab", {}).last_epoch == -1


def test_a_log_has_one_writer_at_a_time(tmp_path: Path) -> None:
    log = writer(tmp_path, epochs=1)
    with pytest.raises(LogInUse):
        LogWriter.open(tmp_path, "0123456789ab")
    assert reopened(log).run.last_epoch == 0


def test_an_epoch_that_two_writers_wrote_is_read_once(tmp_path: Path) -> None:
    log = writer(tmp_path, epochs=2)
    log.path.write_bytes(log.path.read_bytes() + log.path.read_bytes().splitlines(keepends=True)[-1])
    assert [e.epoch for e in read(log.path).epochs] == [0, 1]


def test_the_log_records_how_many_workers_shared_each_epoch(tmp_path: Path) -> None:
    log = LogWriter.open(tmp_path, "0123456789ab")
    log.start("0123456789ab", **FACTS)
    for number, workers in enumerate((1, 4, 2)):
        log.epoch(epoch(number), workers)
    assert log.run.workers == read(tmp_path / "logs" / "0123456789ab.jsonl").workers == (1, 4, 2)
    assert (
        "workers" not in (tmp_path / "logs" / "0123456789ab.jsonl").read_text().splitlines()[1]
    )  # one worker: as ever


def test_a_forked_child_writes_to_no_log_of_its_parent(tmp_path: Path) -> None:
    log = writer(tmp_path, epochs=1)
    before = log.path.read_bytes()
    assert exit_code_of_child(lambda: log.end("failed", "in the child")) == 1
    assert log.path.read_bytes() == before
    log.end("finished")
    assert read(log.path).state == "finished"
