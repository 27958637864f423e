"""The report names runs that were started with different versions, or resumed with others than at their start."""

import json
from pathlib import Path

from analysis.figures.options import Options
from analysis.frames.studies import StudyPlan, find_study
from analysis.report.study import study_report
from analysis.report.versions import version_notes
from tests.support.synthetic_store import write_store


def edit(store: Path, number: int, **changed: object) -> str:
    """Change the start line of one log, and give it a second attempt with other facts. Returns its key."""
    path = sorted((store / "logs").glob("*.jsonl"))[number]
    first, *rest = path.read_text().splitlines()
    start = {**json.loads(first), **changed}
    resume = {"kind": "resume", "attempt": 2, "epoch": 3, "time": start["time"], "changed": {"versions": {"nowt": "2"}}}
    path.write_text("\n".join([json.dumps(start), rest[0], json.dumps(resume), *rest[1:]]) + "\n")
    return path.stem


def test_runs_of_one_version_need_no_sentence(tmp_path: Path) -> None:
    study = write_store(tmp_path)
    plan = find_study(tmp_path, study.key)
    assert version_notes(tmp_path, [key for key, _, _ in plan.runs]) == []


def test_other_versions_and_resumed_runs_are_named_in_the_report(tmp_path: Path) -> None:
    study = write_store(tmp_path)
    key = edit(tmp_path, 0, versions={"nowt": "1"})
    plan = find_study(tmp_path, study.key)
    assert isinstance(plan, StudyPlan)
    different, resumed = version_notes(tmp_path, [key for key, _, _ in plan.runs])
    assert different == "Runs were started with different versions of nowt: 0 (14 runs), 1 (1 run)."
    assert resumed == (
        f"Resumed with other code or packages than at their start: run {key}, attempt 2 (after epoch 3): "
        "nowt 2 instead of 1."
    )
    study_report(tmp_path, plan, tmp_path / "figures", Options())
    assert different in (text := (tmp_path / "figures" / "report.md").read_text()) and resumed in text


def test_an_invalid_log_is_left_out(tmp_path: Path) -> None:
    study = write_store(tmp_path)
    keys = [key for key, _, _ in find_study(tmp_path, study.key).runs]
    for key, text in zip(keys, ("null", '["changed": {', '{"kind": "start", "changed": {}}'), strict=False):
        (tmp_path / "logs" / f"{key}.jsonl").write_text(f"{text}\n")
    assert version_notes(tmp_path, keys) == []
