"""What every report has: a folder, figures as PNG and SVG, a page as Markdown and as HTML, a manifest, and what it
tells who asked for it."""

from collections.abc import Sequence
from pathlib import Path

from analysis.figures.style.theme import save, spec_of
from analysis.report.content import Content, Drawn, Report
from analysis.report.html_page import web_page
from analysis.report.provenance import MANIFEST, listed_files, write_manifest

PAGE, WEB_PAGE = "report.md", "report.html"


def write_report(store: Path, out: Path, content: Content, tables: Sequence[Path]) -> Report:
    """Write figures, pages and manifest into ``out``, beside the ``tables`` that are there already; what an earlier
    report's manifest lists there and this one does not write would pass for this one's, and goes."""
    drawn = [Drawn(figure, spec_of(figure.chart)) for figure in content.figures if figure.chart is not None]
    figures = [path for one in drawn for path in save(one.spec, out / one.figure.name)]
    page, web = out / PAGE, out / WEB_PAGE
    page.write_text(_markdown(content), encoding="utf-8")
    web.write_text(web_page(content, drawn), encoding="utf-8")
    paths = page, *figures, *tables, web
    for left in {out / name for name in listed_files(out)} - set(paths):
        left.unlink(missing_ok=True)
    write_manifest(store, out, content.plan, content.options, paths)
    text = f"{content.text}\n{content.found}\n" if content.found else content.text
    return Report(content.plan.key, (*paths, out / MANIFEST), content.table, text)


def _markdown(content: Content) -> str:
    """The page: what was asked, the first figure, the numbers, the other figures."""
    drawn = [figure for figure in content.figures if figure.chart is not None and not content.places(figure)]
    pictures = [f"![{figure.caption}]({figure.name}.png)" for figure in drawn]
    command = " ".join(["nowt report", content.plan.key, *content.options.words])
    parts = [
        f"# {content.plan.name}",
        content.plan.question,
        *pictures[:1],
        content.text.rstrip(),
        *pictures[1:],
        content.more,
        content.missing,
        f"Rebuilt from the epoch logs by `{command}`; to hover, zoom and switch rules off: [report.html](report.html).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
