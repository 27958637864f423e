"""The runs that a study lists: each once, with the last value of every field."""

import json
from pathlib import Path
from typing import Any

import pytest

from nowt.store.listed_runs import ListedRun, appended_runs, drop_duplicate_runs, merged_runs, with_planned_runs

FIRST, SECOND = ListedRun("aaaaaaaaaaaa", "bp", 0), ListedRun("bbbbbbbbbbbb", "bp", 1)


def appended(folder: Path, *lines: bytes) -> list[ListedRun]:
    path = folder / "s-00000001.runs.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return list(appended_runs(path))


def line(**changes: Any) -> bytes:
    return json.dumps({"key": "aaaaaaaaaaaa", "cell": "bp", "seed": 0, **changes}, ensure_ascii=False).encode()


def test_a_planned_run_with_a_field_of_another_version_is_listed_once() -> None:
    known = ListedRun("aaaaaaaaaaaa", "bp", 0, other={"watts": 7})
    assert with_planned_runs([known, SECOND], [FIRST]) == [SECOND, known]


def test_the_planned_runs_come_last_since_the_last_run_of_a_cell_and_seed_counts() -> None:
    other_data = ListedRun("cccccccccccc", "bp", 0)
    assert with_planned_runs([FIRST, other_data], [FIRST]) == [other_data, FIRST]


def test_runs_that_an_earlier_version_listed_twice_are_read_once() -> None:
    other_data = ListedRun("cccccccccccc", "bp", 0)
    twice = [ListedRun("aaaaaaaaaaaa", "bp", 0, other={"watts": 7}), other_data, FIRST]
    assert merged_runs(twice) == [other_data, ListedRun("aaaaaaaaaaaa", "bp", 0, other={"watts": 7})]


def test_a_line_about_a_run_of_the_study_file_itself_changes_its_entry() -> None:
    listed, stopped = (
        ListedRun("aaaaaaaaaaaa", "bp", 0, trial=3),
        ListedRun("aaaaaaaaaaaa", "bp", 0, trial=3, stopped=2, reason="worst"),
    )
    assert merged_runs([listed], [stopped]) == [stopped]


def test_a_failed_run_whose_line_was_written_again_after_its_repetition_counts_once() -> None:
    repeated, failed = (
        ListedRun("aaaaaaaaaaaa", "bp", 0, trial=1),
        ListedRun("aaaaaaaaaaaa", "bp", 0, trial=0, failed=True),
    )
    assert drop_duplicate_runs([repeated, failed]) == [repeated]


def test_a_separator_within_a_text_does_not_end_a_line(tmp_path: Path) -> None:
    texts = ["b\u2028p", "b\u2029p", "b\x85p", "größe"]
    assert [run.reason for run in appended(tmp_path, *(line(reason=text) for text in texts))] == texts


def test_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    assert appended(tmp_path, line() + b"\r") == [FIRST]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "Expecting value"),
        (b"\0\0\0", "Expecting value"),
        (line(key="?").replace(b"?", b"a\xff"), "can't decode byte 0xff"),
        pytest.param(b"[" * 100_000, "nested too deeply", id="deep"),
        (b"5", "it is 5: it must be an object"),
        (b'{"key": "aaaaaaaaaaaa"}', "it has no cell, seed"),
        (line(key=["aa"]), r'key is \["aa"\]: it must be a run key'),
        (line(key="../aa"), 'key is "../aa": it must be a run key'),
        (line(seed="0"), 'seed is "0": it must be a whole number'),
        (line(trial="0"), 'trial is "0": it must be a whole number from 0'),
        (line(stopped=1.5), "stopped is 1.5: it must be a whole number"),
        (line(failed=1), "failed is 1: it must be true or false"),
    ],
)
def test_a_line_that_lists_no_run_is_named_with_its_field(text: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=rf"s-00000001\.runs\.jsonl, line 2 lists no run \(.*{reason}.*\): restore it"
    ) as caught:
        appended(tmp_path, line(), text)
    assert "\n" not in str(caught.value)


def test_an_incomplete_last_line_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "s-00000001.runs.jsonl"
    path.write_bytes(line() + b"\n" + line(cell="größe")[:-4])
    assert list(appended_runs(path)) == [FIRST]
