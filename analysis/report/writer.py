"""Writes a report: figures as PNG and SVG, a page as Markdown and HTML, and a manifest."""

from collections.abc import Sequence
from pathlib import Path

from analysis.figures.style.theme import save, vega_lite_spec
from analysis.report.content import Content, RenderedFigure, Report
from analysis.report.html_page import web_page
from analysis.report.manifest import MANIFEST
from analysis.report.provenance import listed_files, write_manifest
from analysis.tables.writers import markdown_text, write_text

PAGE, WEB_PAGE = "report.md", "report.html"


def write_report(store: Path, out: Path, content: Content, tables: Sequence[Path]) -> Report:
    """Write figures, pages and manifest into ``out``, which already contains the ``tables``.

    Files that the manifest of an earlier report lists, and that this report does not write, are deleted.
    """
    drawn = [
        RenderedFigure(figure, vega_lite_spec(figure.chart)) for figure in content.figures if figure.chart is not None
    ]
    figures = [path for one in drawn for path in save(one.spec, out / one.figure.name)]
    page, web = out / PAGE, out / WEB_PAGE
    write_text(page, _markdown(content))
    write_text(web, web_page(content, drawn))
    paths = page, *figures, *tables, web
    for left in {out / name for name in listed_files(out)} - set(paths):
        left.unlink(missing_ok=True)
    write_manifest(store, out, content.plan, content.options, paths)
    text = f"{content.text}\n{content.findings}\n" if content.findings else content.text
    return Report(content.plan.key, (*paths, out / MANIFEST), content.table, text)


def _markdown(content: Content) -> str:
    """Return the page: the question, the first figure, the table, the other figures."""
    drawn = [figure for figure in content.figures if figure.chart is not None and not content.embeds(figure)]
    images = [f"![{markdown_text(figure.caption)}]({figure.name}.png)" for figure in drawn]
    command = " ".join(["nowt report", content.plan.key, *content.options.args])
    parts = [
        f"# {markdown_text(content.plan.name)}",
        markdown_text(content.plan.question),
        *images[:1],
        content.text.rstrip(),
        *images[1:],
        content.sections,
        content.missing,
        f"Created from the epoch logs by `{command}`. Interactive version: [report.html](report.html).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
