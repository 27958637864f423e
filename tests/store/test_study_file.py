"""Study files: typed in Python, and the same JSON on disk."""

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from nowt.core.errors import ConfigError
from nowt.store.listed_runs import ListedRun, drop_duplicate_runs
from nowt.store.study_file import (
    StudyFile,
    ambiguity_remark,
    append_failure,
    append_run,
    append_stop,
    find_study_files,
    read_study_file,
    read_study_files,
    write_study_file,
)
from nowt.studies.lookup import find_space, find_study
from nowt.studies.search.space import space_to_json
from nowt.studies.study import study_to_json
from tests.support.study_content import CONFIG, CONTENT


def shipped(group: str) -> list[str]:
    return [point.name for point in entry_points(group=group)]


def check_text(folder: Path, key: str, content: dict[str, Any], runs: list[dict[str, Any]]) -> None:
    """The file holds the plain JSON of its parts, in the order that it always had."""
    study, _ = write_study_file(folder, key, content, [ListedRun.from_json(run) for run in runs])
    seeds = sorted({*content["seeds"], *(run["seed"] for run in runs)})
    times = {"created": study.created, "started": study.started}
    recorded = {"claimed": study.claimed, **({} if study.is_search else {"claimed_seeds": seeds})}
    claimed = [*recorded.items()] if "claim" in content else []  # beside the claim
    at = [*content].index("claim") + 1 if claimed else 0
    items = [*content.items()]
    content = dict([*items[:at], *claimed, *items[at:]])
    parts = {"schema": 1, **content, "seeds": seeds, "key": key, **times, "runs": runs}
    text = (folder / "studies" / f"{key}.json").read_text()
    assert text == json.dumps(parts, indent=1) + "\n"
    assert json.dumps(study.to_json(), indent=1) + "\n" == text


@pytest.mark.parametrize("name", shipped("nowt.studies"))
def test_the_file_of_every_shipped_study_keeps_its_text(name: str, tmp_path: Path) -> None:
    study = find_study(name)
    check_text(
        tmp_path, study.key, study_to_json(study), [{"key": "aaaaaaaaaaaa", "cell": study.cells[0].name, "seed": 7}]
    )


@pytest.mark.parametrize("name", shipped("nowt.spaces"))
def test_the_file_of_every_shipped_search_space_keeps_its_text(name: str, tmp_path: Path) -> None:
    space = find_space(name)
    listed = {"key": "aaaaaaaaaaaa", "cell": space.cells[0].name, "seed": space.run_seed, "trial": 0}
    stopped = {**listed, "trial": 1, "stopped": 4, "reason": "it was the worst"}
    failed = {**listed, "trial": 2, "failed": True}
    check_text(tmp_path, space.key, {**space_to_json(space), "storage": ""}, [listed, stopped, failed])
    assert read_study_file(tmp_path / "studies" / f"{space.key}.json").is_search


def test_fields_that_this_version_does_not_know_survive() -> None:
    run = {"key": "aaaaaaaaaaaa", "cell": "bp", "seed": 0, "watts": 7}
    data = {**CONTENT, "mood": "good", "key": "s-00000001", "created": 1, "runs": [run]}
    assert StudyFile.from_json(data).to_json() == data


def test_appended_runs_are_read_with_the_last_that_was_said_of_them(tmp_path: Path) -> None:
    study, _ = write_study_file(tmp_path, "s-00000001", CONTENT)
    first, second = ListedRun("aaaaaaaaaaaa", "bp", 0, trial=0), ListedRun("bbbbbbbbbbbb", "bp", 0, trial=1)
    append_run(tmp_path, study, first)
    append_run(tmp_path, study, second)
    append_stop(tmp_path, study, first, 3, "it was the worst")
    append_failure(tmp_path, study, second)
    assert study.runs == [first, second]
    assert read_study_file(tmp_path / "studies" / "s-00000001.json").runs == [
        ListedRun("aaaaaaaaaaaa", "bp", 0, trial=0, stopped=3, reason="it was the worst"),
        ListedRun("bbbbbbbbbbbb", "bp", 0, trial=1, failed=True),
    ]


def test_a_failed_run_that_a_later_trial_repeats_counts_once() -> None:
    failed, repeated = (
        ListedRun("aaaaaaaaaaaa", "bp", 0, trial=0, failed=True),
        ListedRun("aaaaaaaaaaaa", "bp", 0, trial=1),
    )
    alone = ListedRun("bbbbbbbbbbbb", "bp", 0, trial=2, failed=True)
    assert drop_duplicate_runs([failed, repeated, alone]) == [repeated, alone]


def test_another_study_of_the_same_name_is_reported(tmp_path: Path) -> None:
    assert write_study_file(tmp_path, "s-00000001", CONTENT)[1] == ""
    remark = write_study_file(tmp_path, "s-00000002", CONTENT)[1]
    assert remark == "s has changed since s-00000001: this is a new study, s-00000002"
    assert write_study_file(tmp_path, "s-00000002", CONTENT)[1] == ""
    assert [study.key for study in read_study_files(tmp_path)] == ["s-00000001", "s-00000002"]


def test_a_name_of_several_studies_is_reported_with_their_keys(tmp_path: Path) -> None:
    write_study_file(tmp_path, "s-00000001", CONTENT)
    assert ambiguity_remark(tmp_path, "s") == ""
    write_study_file(tmp_path, "s-00000002", CONTENT)
    remark = "s is the name of 2 studies; the newest, s-00000002, is used (older: s-00000001)"
    assert ambiguity_remark(tmp_path, "s") == remark
    assert ambiguity_remark(tmp_path, "s-00000001") == ""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[]", r"x\.json holds list, expected an object: move it out of the store"),
        ("{", r"x\.json is not JSON \(.*\): move it out of the store"),
        ("{}", r"x\.json is not a study file, it has no created, key, .*: move it out of the store"),
        (
            '{"schema": 2}',
            r"x\.json is a study file of schema 2, this version of nowt reads 1: update nowt, or move it out of the "
            "store",
        ),
        (
            json.dumps({**CONTENT, "key": "x-00000001", "created": 1, "runs": [{"key": "aaaaaaaaaaaa"}]}),
            r"x\.json is not a study file \(runs\[0\] has no cell, seed\): move it out of the store",
        ),
    ],
)
def test_a_file_that_is_not_a_study_file_is_named(text: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=fault):
        read_study_file(path)


WRONG_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"created": None}, "created is null: it must be a whole number from 0"),
    ({"created": -1}, "created is -1: it must be a whole number from 0"),
    ({"seeds": [2**63]}, "seeds is [9223372036854775808]: it must be a list, each a whole number"),
    ({"reference": "b\x1b[2Jp"}, 'reference is "b\\u001b[2Jp": it must be text without line breaks'),
    ({"key": "s-00000001\n"}, 'key is "s-00000001\\n": it must be a study key'),
    ({"schema": "1"}, 'schema is "1": it must be a whole number'),
    ({"runs": {}}, "runs is {}: it must be a list, each an object"),
    ({"seeds": "01"}, 'seeds is "01": it must be a list, each a whole number'),
    ({"seeds": None}, "seeds is null: it must be a list, each a whole number"),
    ({"name": ["a"]}, 'name is ["a"]: it must be a name'),
    ({"name": "../s"}, 'name is "../s": it must be a name'),
    ({"question": None}, "question is null: it must be text"),
    ({"reference": 5}, "reference is 5: it must be text"),
    ({"key": [1]}, "key is [1]: it must be a study key"),
    ({"key": "../../poetry"}, 'key is "../../poetry": it must be a study key'),
    ({"keep": {}}, "keep is {}: it must be text or a list of whole numbers"),
    ({"sampler": 5}, "sampler is 5: it must be text"),
    ({"budget": "x"}, 'budget is "x": it must be an object'),
    ({"stopping": {"kind": None}}, "stopping.kind is null: it must be text"),
    ({"storage": [1]}, "storage is [1]: it must be text"),
    ({"cells": [1]}, "cells[0] is 1: it must be an object"),
    ({"cells": [{"name": "bp"}]}, "cells[0] has no config"),
    ({"runs": [{"key": "aaaaaaaaaaaa", "cell": "bp", "seed": "x"}]}, 'runs[0].seed is "x": it must be a whole number'),
    ({"runs": [{"key": "../aa", "cell": "bp", "seed": 0}]}, 'runs[0].key is "../aa": it must be a run key'),
]


@pytest.mark.parametrize(("changes", "fault"), WRONG_FIELDS, ids=[fault for _, fault in WRONG_FIELDS])
def test_a_field_of_a_wrong_type_is_named_and_stays_in_the_file(
    changes: dict[str, Any], fault: str, tmp_path: Path
) -> None:
    write_study_file(tmp_path, "s-00000001", CONTENT, [ListedRun("aaaaaaaaaaaa", "bp", 0)])
    path = tmp_path / "studies" / "s-00000001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    before = path.read_text()
    for read in (
        lambda: read_study_files(tmp_path),
        lambda: write_study_file(tmp_path, "s-00000001", CONTENT, [ListedRun("aaaaaaaaaaaa", "bp", 0)]),
    ):
        with pytest.raises(ValueError) as caught:
            read()
        message = str(caught.value)
        assert message.startswith(f"{path} is not a study file ({fault}") and message.count("\n") == 0
    assert path.read_text() == before


def test_a_start_does_not_overwrite_the_file_of_a_newer_version(tmp_path: Path) -> None:
    write_study_file(tmp_path, "s-00000001", CONTENT)
    path = tmp_path / "studies" / "s-00000001.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    before = path.read_text()
    with pytest.raises(ValueError, match="is a study file of schema 2, this version of nowt reads 1: update nowt"):
        write_study_file(tmp_path, "s-00000001", CONTENT)
    assert path.read_text() == before


def test_a_start_keeps_the_fields_that_it_does_not_know(tmp_path: Path) -> None:
    write_study_file(tmp_path, "s-00000001", CONTENT, [ListedRun("aaaaaaaaaaaa", "bp", 0)])
    path = tmp_path / "studies" / "s-00000001.json"
    data = json.loads(path.read_text())
    data["mood"] = "good"
    data["runs"][0]["watts"] = 7
    path.write_text(json.dumps(data))
    write_study_file(
        tmp_path, "s-00000001", CONTENT, [ListedRun("aaaaaaaaaaaa", "bp", 0), ListedRun("bbbbbbbbbbbb", "bp", 1)]
    )
    assert {**json.loads(path.read_text()), "started": data["started"]} == {
        **data,
        "seeds": [0, 1],
        "runs": [*data["runs"], {"key": "bbbbbbbbbbbb", "cell": "bp", "seed": 1}],
    }


def test_a_run_of_a_cell_that_the_study_file_does_not_describe_is_named(tmp_path: Path) -> None:
    write_study_file(tmp_path, "s-00000001", CONTENT)
    path = tmp_path / "studies" / "s-00000001.json"
    data = {**json.loads(path.read_text()), "runs": [{"key": "aaaaaaaaaaaa", "cell": "bp", "seed": 0}]}
    for cells in ([], [{"name": "fa", "config": CONFIG}]):
        path.write_text(json.dumps({**data, "cells": cells}))
        with pytest.raises(
            ValueError, match=r"s-00000001\.json lists a run of cell 'bp', which it does not describe: restore"
        ):
            read_study_files(tmp_path)


def test_a_copy_of_a_study_file_under_another_name_is_not_a_second_study(tmp_path: Path) -> None:
    write_study_file(tmp_path, "s-00000001", CONTENT)
    copy = tmp_path / "studies" / "s-00000001 (copy).json"
    copy.write_bytes((tmp_path / "studies" / "s-00000001.json").read_bytes())
    with pytest.raises(
        ValueError, match=r"copy\)\.json is the file of study s-00000001: name it s-00000001\.json, or move it out"
    ):
        read_study_files(tmp_path)


def test_a_name_finds_every_version_of_a_study_and_a_key_finds_one(tmp_path: Path) -> None:
    for key in ("s-11111111", "s-22222222"):
        write_study_file(tmp_path, key, CONTENT)
    assert {file.key for file in find_study_files(tmp_path, "s")} == {"s-11111111", "s-22222222"}
    assert [file.key for file in find_study_files(tmp_path, "s-11111111")] == ["s-11111111"]


def test_an_unknown_study_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no study 'rules': start one with `nowt ablate STUDY` or `nowt search"):
        find_study_files(tmp_path, "rules")
    write_study_file(tmp_path, "rules-11111111", {**CONTENT, "name": "rules"})
    with pytest.raises(ConfigError, match=r"has no study 'ruls' \(did you mean rules\?\); it has: rules"):
        find_study_files(tmp_path, "ruls")
    with pytest.raises(ConfigError, match="has no search 'rules': start one with `nowt search SPACE`"):
        find_study_files(tmp_path, "rules", searches=True)
