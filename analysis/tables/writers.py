"""Write a table as Markdown, as CSV with its unrounded numbers, and as LaTeX."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nowt.core.errors import UserError, naming
from nowt.core.formatting import printable


@dataclass(frozen=True)
class Tabular:
    """A table as formatted text, and its numbers."""

    name: str  # stem of its files
    caption: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    numbers: pd.DataFrame  # contents of the CSV
    texts: int = 1  # number of leading text columns, which are left-aligned; numbers are right-aligned
    long: bool = False  # whether it may span several pages in LaTeX
    last: str = ""  # LaTeX width of a last text column that may wrap, such as 0.5\\linewidth; empty: numbers


# what starts emphasis, code, a tag, a link, an entity or an escape; not "_" within a word, nor "<" before a number
MARKUP = re.compile(
    r"[*`~|]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|\[(?=[^\]]*\]\()|&(?=#?\w+;)|\\(?=[!-/:-@[-`{-~])"
    r"|^#(?=#*(?:\s|$))|^>|^[-+](?=\s)"  # what starts a heading, a quotation or a list
)


FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")

NUMBER = re.compile(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?")


def markdown_text(text: str) -> str:
    """Return Markdown that shows ``text``, such as the name of a cell or a question, as it is and in one paragraph."""
    return MARKUP.sub(r"\\\g<0>", re.sub(r"\s*[\r\n]\s*", " ", text))


def markdown_rows(rows: Iterable[Sequence[str]]) -> str:
    """Return the rows of a table in GitHub-flavored Markdown; their cells contain no Markdown."""
    return "".join(f"| {' | '.join(map(markdown_text, row))} |\n" for row in rows)


def markdown(table: Tabular) -> str:
    """Return the table in GitHub-flavored Markdown."""
    words = [i < table.texts or (bool(table.last) and i == len(table.head) - 1) for i in range(len(table.head))]
    rules = ["---" if word else "---:" for word in words]
    return markdown_rows([table.head, rules, *table.lines])


def latex(table: Tabular) -> str:
    """Return the table in LaTeX with booktabs, with special characters escaped."""
    numbers = len(table.head) - table.texts - bool(table.last)
    columns = "l" * table.texts + "r" * numbers + (f"p{{{table.last}}}" if table.last else "")
    head, *body = [" & ".join(map(_escaped, line)) + r" \\" for line in (table.head, *table.lines)]
    titled = rf"\caption{{{_escaped(table.caption)}}}\label{{tab:{table.name}}}"
    lines = _over_pages(columns, titled, head, body) if table.long else _on_one_page(columns, titled, head, body)
    return "\n".join(lines) + "\n"


def _on_one_page(columns: str, titled: str, head: str, body: Sequence[str]) -> list[str]:
    """Return a table that is scaled down to the text width if necessary."""
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
    """Return a table that may span several pages, with its head repeated on each."""
    return [
        r"% \usepackage[T1]{fontenc}, \usepackage{booktabs}, \usepackage{longtable} (in one column)",
        r"{\small",
        rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}",
        titled + r" \\",
        *(r"\toprule", head, r"\midrule", r"\endhead", *body, r"\bottomrule"),
        r"\end{longtable}}",
    ]


def save_tabular(table: Tabular, out: Path) -> tuple[Path, ...]:
    """Write NAME.md, NAME.csv and NAME.tex into ``out``, and return their paths."""
    paths = tuple(out / f"{table.name}.{kind}" for kind in ("md", "csv", "tex"))
    write_text(paths[0], f"{markdown_text(table.caption)}\n\n{markdown(table)}")
    write_csv(paths[1], table.numbers, "%.6g")
    write_text(paths[2], latex(table))
    return paths


def write_text(path: Path, text: str) -> None:
    """Write text to a file of a report. Raises OSError that names the file."""
    with naming(path):
        path.write_text(text, encoding="utf-8")


def write_csv(path: Path, frame: pd.DataFrame, float_format: str | None = None) -> None:
    """Write a frame as CSV, with all digits of its numbers unless there is a format. Raises OSError that names the
    file.

    Text that a spreadsheet would take for a formula, such as the name of a cell, gets an apostrophe in front; control
    characters are written as escapes.
    """
    shown = frame.rename(columns=_no_formula)
    for name in shown.select_dtypes(exclude=["number", "bool"]).columns:
        shown[name] = shown[name].map(_no_formula)
    with naming(path):
        shown.to_csv(path, index=False, float_format=float_format)


def _no_formula(value: Any) -> Any:
    """Return the value; text that a spreadsheet would calculate, with an apostrophe in front."""
    if not isinstance(value, str):
        return value
    return f"'{printable(value)}" if FORMULA.match(value) and not NUMBER.fullmatch(value) else printable(value)


def _escaped(text: str) -> str:
    from pylatexenc.latexencode import unicode_to_latex

    return str(unicode_to_latex(text, unknown_char_policy="unihex", unknown_char_warning=False))


def make_folder(out: Path) -> None:
    """Create the output folder. Raises ValueError if ``out`` is a file or cannot be created."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: give a folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out} cannot be created ({error.strerror}): give a folder that is writable") from None
