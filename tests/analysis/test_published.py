"""The published numbers, and that an installed package contains them."""

import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from analysis.published import published_angles, published_errors


def test_published_numbers_match_the_paper() -> None:
    errors = published_errors()
    last = errors.groupby(["model", "rule"])["error"].apply(lambda values: values.tail(5).mean())
    assert last["ResNet-50", "kp"] == pytest.approx(23.59, abs=0.01)
    assert last["ResNet-18", "fa"] == pytest.approx(97.36, abs=0.01)
    inside = errors[errors["error"].between(1, 99)]
    assert (inside["high"] - inside["low"]).round(6).eq(2).all()
    angles = published_angles()
    final = angles[(angles["rule"] == "wm") & (angles["measure"] == "matrix") & (angles["epoch"] > 98)]
    assert final[final["layer"] == 50]["angle"].mean() == pytest.approx(9.2, abs=0.1)
    assert angles[angles["rule"] == "wm"].groupby("measure")["angle"].max().lt(25).all()
    assert "NeurIPS 2019" in (files("analysis.published") / "PROVENANCE.txt").read_text(encoding="utf-8")


def test_an_installed_package_contains_the_published_numbers_and_the_html_page(tmp_path: Path) -> None:
    """The package data are read from a copy in another folder, without the checkout."""
    here = Path(__file__).parents[2]
    shutil.copytree(here / "analysis", tmp_path / "analysis", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(here / "platform" / "nowt", tmp_path / "nowt", ignore=shutil.ignore_patterns("__pycache__"))
    code = "import analysis.published as p, analysis.report.html_page as w\n"
    code += "print(len(p.published_errors()), p.__file__, len(w._resource('page.js')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == ["1229", str(tmp_path / "analysis" / "published" / "__init__.py")]
