"""Audited steps in the log, in MLflow and in reports, and a study in which a rule's transport is detected."""

from pathlib import Path

import pytest

from analysis.report.audits import audit_notes
from nowt.cli.main import main
from nowt.store.layout import Store
from nowt.store.run_log import read
from nowt.tracking.projection import STATUS, describe_run
from tests.support.small_spaces import write_space
from tests.support.small_studies import write_study

SMALL = ["--data.train_limit", "48", "--batch", "16", "--epochs", "2", "--test", "false", "--device", "cpu"]

SUPPORT = Path(__file__).parent.parent / "support"

CHEAT = f"{SUPPORT}/cheats_in_runs.py:OutsideCertificates"

HONEST = f"{SUPPORT}/honest_rules.py:OwnStep"


def logs(store: Path) -> list[Path]:
    return sorted(Store(store).log_files())


def test_a_run_in_which_transport_is_detected_fails_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "digits", "--rule", CHEAT, *SMALL, "--audit", "99", "--store", str(tmp_path)]) == 1
    (run,) = map(read, logs(tmp_path))
    assert run.state == "transport detected"
    assert run.reason.startswith("transport detected at step 1 under rule outside certificates: ")
    assert run.reason in capsys.readouterr().out and "\n" not in run.reason
    assert STATUS[describe_run(run, None, "", 0).state] == "FAILED"
    assert "work before learning, 1 step: " in describe_run(run, None, "", 0).tags["audit"]


def test_the_run_and_a_report_state_how_likely_an_audited_rule_was_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "digits", "--rule", HONEST, *SMALL, "--store", str(tmp_path)]) == 0
    (run,) = map(read, logs(tmp_path))
    assert run.state == "finished" and run.audits[0].step == 0 and len(run.audits) == 4
    (note,) = audit_notes(tmp_path, [run.key])
    assert "3 steps of 1 run audited, no read of W found" in note and "At the start, |cos(B, W)| is at most 0." in note
    missed = "a rule is missed that reads W in 1 % of steps with probability 0.97, or in 10 % of steps with probability"
    assert missed in note.replace("A rule", "a rule") and missed in capsys.readouterr().out


def test_a_study_continues_after_transport_was_detected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path, f'{{"cheat": small("{CHEAT}"), "kp": small("kp")}}')
    assert main(["ablate", str(study), "--in-process", "--audit", "99", "--store", str(tmp_path / "runs")]) == 1
    assert sorted(read(path).state for path in logs(tmp_path / "runs")) == ["finished", "transport detected"]
    assert "1 failed: cheat seed 0" in capsys.readouterr().out


def test_a_search_counts_a_detected_transport_once_and_its_report_says_where_to_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = write_space(tmp_path, f'(part("{CHEAT}"),)', "Budget(2)")
    search = ["search", str(space), "--in-process", "--audit", "99", "--store", str(tmp_path / "runs")]
    for _ in range(2):  # the second command finds the transport again, without training
        assert main(search) == 1
        printed = capsys.readouterr().out
        assert "2 transport detected" in printed.splitlines()[-1]
        assert "transport detected at step 1 under rule outside certificates: B of layer" in printed
        assert "transport detected after" not in printed
    assert main(["report", "small", "--store", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "(2 transport detected): the rule reads weights that it does not declare, and nowt show" in last
