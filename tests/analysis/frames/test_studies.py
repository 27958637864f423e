"""Finding a study by name or key."""

import json
from pathlib import Path

import pytest

from analysis.frames.studies import find_study
from analysis.report.study import report
from tests.support.synthetic_store import rules_study, write_store


def test_a_name_selects_the_newest_study_and_a_key_any_study(tmp_path: Path) -> None:
    older = write_store(tmp_path, rules_study(names=["bp"], epochs=1), created=1)
    newer = write_store(tmp_path, rules_study(names=["bp"], epochs=2), created=2)
    write_store(tmp_path, rules_study("other", names=["fa"], epochs=1), created=3)
    assert find_study(tmp_path, "rules").key == newer.key
    assert find_study(tmp_path, older.key).key == older.key
    assert find_study(tmp_path).name == "other"


def test_a_run_of_a_cell_that_the_study_file_does_not_describe_is_named(tmp_path: Path) -> None:
    study = write_store(tmp_path, rules_study(names=["bp"], epochs=1))
    path = tmp_path / "studies" / f"{study.key}.json"
    data = json.loads(path.read_text())
    data["runs"][0]["cell"] = "nope"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"\.json lists a run of cell 'nope', which it does not describe"):
        find_study(tmp_path, "rules")


def test_a_missing_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no store at .*nowhere"):
        report(tmp_path / "nowhere", None, tmp_path)
