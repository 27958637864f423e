"""Tables as LaTeX and Markdown."""

import csv
import html
import math
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from analysis.frames.study import Frames
from analysis.report.html_page import markdown as page_of
from analysis.stats.paired import compare_cells
from analysis.tables.comparison import comparison_table
from analysis.tables.errors import errors_table
from analysis.tables.final import final_table
from analysis.tables.settings import settings_table
from analysis.tables.writers import Tabular, latex, markdown, markdown_text, save_tabular, write_csv

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


NAMES = [
    "<i>",
    "a | b",
    "_x_ and __y__",
    "*x* **y**",
    "`ls`",
    "[a](b)",
    "&lt;",
    r"\*",
    "~~x~~",
    "a_b_c",
    "p < 0.01",
    "λ=1",
]


def test_markdown_shows_every_name_as_it_is() -> None:
    table = Tabular("nasty", "", ["cell", "*gap*, points"], [[name, "−0.30"] for name in NAMES], pd.DataFrame())
    rendered = page_of(f"{markdown(table)}\n## {markdown_text(' '.join(NAMES))}\n")
    shown = [html.unescape(re.sub("<.*?>", "", cell)) for cell in re.findall("<t[dh].*?>(.*?)</t[dh]>", rendered)]
    assert shown[:2] == ["cell", "*gap*, points"] and shown[2::2] == NAMES
    assert set(re.findall("<([a-z]+[0-9]?)", rendered)) == {"table", "thead", "tbody", "tr", "th", "td", "h2"}
    assert html.unescape(rendered.partition("<h2>")[2].partition("</h2>")[0]) == " ".join(NAMES)


def test_markdown_leaves_ordinary_text_as_it_is() -> None:
    text = "rules_on_digits: 0.1 [0.05, 0.2] (n = 3), < 5 %, p ≤ 0.05 & W_0-1.weight; ./mine.py:Rule"
    assert markdown_text(text) == text


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


@pytest.mark.parametrize("kind", ["md", "csv", "tex"])
def test_a_table_that_cannot_be_written_is_named(kind: str, tmp_path: Path) -> None:
    (tmp_path / f"nasty.{kind}").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        save_tabular(NASTY, tmp_path)
    assert caught.value.filename == str(tmp_path / f"nasty.{kind}")


@pytest.mark.parametrize("name", ['=HYPERLINK("http://evil","x")', "+1+cmd", "-2+3", "@SUM(1)", "\t=1", "＝1+1"])
def test_a_spreadsheet_shows_a_name_that_looks_like_a_formula_as_text(name: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame({"cell": [name, "bp", "-0.5", "−0.3"], name: [-1.5, 2.0, 0.1, 4e-9]}))
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        head, first, *others = csv.reader(file)
    assert head == ["cell", f"'{name}"] and first == [f"'{name}", "-1.5"]
    assert others == [["bp", "2.0"], ["-0.5", "0.1"], ["−0.3", "4e-09"]]


def test_text_begins_no_row_of_a_csv_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame({"reason": ["a\r=1,2", "b\n=1"]}))
    assert (tmp_path / "a.csv").read_bytes() == b'reason\n"a\\r=1,2"\n"b\n=1"\n'


@pytest.mark.parametrize(
    "text", ["# Head", "a\n# Head", "a\r\n\n> b", "- b", "+ b", "a\n===", "a\n\n    code", "## b", "a\n- b"]
)
def test_text_of_a_study_is_one_paragraph_of_a_page(text: str) -> None:
    shown = page_of(markdown_text(text))
    assert re.fullmatch(r"<p>[^<]*</p>", shown.strip())
    assert html.unescape(shown.strip()[3:-4]) == " ".join(text.split())
