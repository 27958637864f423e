"""A table that is written three ways: Markdown for people, CSV with the numbers behind it, LaTeX for a paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Tabular:
    """A table as people read it, and its numbers."""

    name: str  # of its files
    caption: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    numbers: pd.DataFrame  # what the CSV holds
    texts: int = 1  # columns of words, which stand to the left; numbers stand to the right
    long: bool = False  # in LaTeX it may break over pages
    last: str = ""  # width of a last column of words that may wrap, such as 0.5\\linewidth; empty: numbers


def markdown(table: Tabular) -> str:
    """The table in GitHub's Markdown."""
    words = [i < table.texts or (bool(table.last) and i == len(table.head) - 1) for i in range(len(table.head))]
    rules = ["---" if word else "---:" for word in words]
    lines = [table.head, rules, *table.lines]
    return "".join(f"| {' | '.join(cell.replace('|', '∣') for cell in line)} |\n" for line in lines)


def latex(table: Tabular) -> str:
    """The table in LaTeX's booktabs form, every sign of every cell as LaTeX writes it."""
    numbers = len(table.head) - table.texts - bool(table.last)
    columns = "l" * table.texts + "r" * numbers + (f"p{{{table.last}}}" if table.last else "")
    head, *body = [" & ".join(map(_escaped, line)) + r" \\" for line in (table.head, *table.lines)]
    titled = rf"\caption{{{_escaped(table.caption)}}}\label{{tab:{table.name}}}"
    lines = _over_pages(columns, titled, head, body) if table.long else _on_one_page(columns, titled, head, body)
    return "\n".join(lines) + "\n"


def _on_one_page(columns: str, titled: str, head: str, body: Sequence[str]) -> list[str]:
    """A table that is made no wider than the text."""
    return [
        r"% \usepackage[T1]{fontenc}, \usepackage{booktabs}, \usepackage{graphicx}",
        r"\begin{table}",
        r"\centering",
        r"\small",
        titled,
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        *(r"\toprule", head, r"\midrule", *body, r"\bottomrule"),
        r"\end{tabular}}",
        r"\end{table}",
    ]


def _over_pages(columns: str, titled: str, head: str, body: Sequence[str]) -> list[str]:
    """A table that goes on on the next page, under its head."""
    return [
        r"% \usepackage[T1]{fontenc}, \usepackage{booktabs}, \usepackage{longtable} (in one column)",
        r"{\small",
        rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}",
        titled + r" \\",
        *(r"\toprule", head, r"\midrule", r"\endhead", *body, r"\bottomrule"),
        r"\end{longtable}}",
    ]


def save_tabular(table: Tabular, out: Path) -> tuple[Path, ...]:
    """Write NAME.md, NAME.csv and NAME.tex into ``out``."""
    paths = tuple(out / f"{table.name}.{kind}" for kind in ("md", "csv", "tex"))
    paths[0].write_text(f"{table.caption}\n\n{markdown(table)}", encoding="utf-8")
    table.numbers.to_csv(paths[1], index=False, float_format="%.6g")
    paths[2].write_text(latex(table), encoding="utf-8")
    return paths


def _escaped(text: str) -> str:
    from pylatexenc.latexencode import unicode_to_latex

    return str(unicode_to_latex(text, unknown_char_policy="unihex", unknown_char_warning=False))


def make_folder(out: Path) -> None:
    """Make the folder of the figures. Raises ValueError where a file is in its place, or none can be made."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: give --out a folder for the figures")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{out} cannot be made ({error.strerror}): give --out a folder that can be written") from None
