"""The report's margin, its page, and files of an earlier report."""

from pathlib import Path

import pytest

from analysis.report.study import report
from nowt.cli.main import main
from tests.support.earlier_reports import write_earlier_report
from tests.support.synthetic_store import rules_study, write_store


def test_an_invalid_margin_is_a_one_line_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_store(tmp_path, rules_study(names=["bp"], epochs=1))
    for margin in ("0", "nan", "101"):
        assert main(["report", "--store", str(tmp_path), "--out", str(tmp_path / "out"), "--margin", margin]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"nowt: --margin is {float(margin)}: it must be above 0")
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_page_states_its_command_and_tables_of_an_earlier_report_are_deleted(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(names=["bp", "kp"], epochs=1), layers=1)
    out = tmp_path / "out"
    write_earlier_report(out, "variance.csv")
    page = report(tmp_path, None, out, 2.0).paths[0].read_text()
    assert not (out / "variance.csv").exists()
    assert " --margin 2`" in page
    assert "within 2 points?" in page
    assert "## Methods" in page
