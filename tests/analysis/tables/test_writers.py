"""Tables as LaTeX and Markdown."""

import math
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from analysis.frames.study import Frames
from analysis.stats.paired import compare_cells
from analysis.tables.comparison import comparison_table
from analysis.tables.errors import errors_table
from analysis.tables.final import final_table
from analysis.tables.settings import settings_table
from analysis.tables.writers import Tabular, latex, markdown

NASTY = Tabular(
    "nasty",
    "50 % of σ & a_b",
    ["cell", "gap, points"],
    [["σ 0.1, ξ → 1", "−0.30"], ["a_b & {c} #1 $x ~ ^ \\", "< 5 %"], ["λ=0.01 | 中", "±1°"]],
    pd.DataFrame({"gap": [math.nan]}),
)


def test_latex_uses_booktabs_and_escapes_special_characters() -> None:
    text = latex(NASTY)
    for command in (r"\toprule", r"\midrule", r"\bottomrule", r"\label{tab:nasty}", r"\begin{tabular}{@{}lr@{}}"):
        assert text.count(command) == 1
    assert r"a\_b \& \{c\} \#1 \$x" in text
    assert r"50 \% of \ensuremath{\sigma} \& a\_b" in text
    assert text.isascii()
    assert len({line.count(" & ") for line in text.splitlines() if line.endswith(r" \\")}) == 1
    assert len({line.count("|") for line in markdown(NASTY).splitlines()}) == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_the_latex_tables_compile(five_rules: Frames, tmp_path: Path) -> None:
    tests = compare_cells(five_rules, 1.5)
    tables = [
        errors_table(five_rules, final_table(five_rules), tests, 1.5, "test"),
        comparison_table(tests, 1.5),
        settings_table(five_rules.study),
        NASTY,
    ]
    head = (
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs,graphicx,longtable}\\begin{document}\n"
    )
    (tmp_path / "paper.tex").write_text(head + "\n\n".join(map(latex, tables)) + "\\end{document}\n", encoding="utf-8")
    words = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
