"""The report's margin, its page, and files of an earlier report."""

from pathlib import Path

import pytest

from analysis.report.study import report
from nowt.cli.main import main
from tests.support.earlier_reports import leave
from tests.support.synthetic_store import rules_study, write_store


def test_a_margin_that_cannot_be_gets_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_store(tmp_path, rules_study(names=["bp"], epochs=1))
    for margin in ("0", "nan", "101"):
        assert main(["report", "--store", str(tmp_path), "--out", str(tmp_path / "out"), "--margin", margin]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"nowt: --margin is {float(margin)}: it must be above 0")
        assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_page_says_how_it_was_made_and_an_earlier_reports_tables_go(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(names=["bp", "kp"], epochs=1), layers=1)
    out = tmp_path / "out"
    leave(out, "variance.csv")
    page = report(tmp_path, None, out, 2.0).paths[0].read_text()
    assert not (out / "variance.csv").exists()
    assert " --margin 2`" in page
    assert "within 2 points?" in page
    assert "## Methods" in page
