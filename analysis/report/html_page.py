"""``report.html``: text, tables and interactive figures in one self-contained file that works offline."""

import html
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from analysis.figures.style.theme import rule_colors
from analysis.report.interactive import make_interactive

if TYPE_CHECKING:
    from analysis.report.content import Content, RenderedFigure

# Vega compiles expressions to functions, which requires unsafe-eval. Network access is forbidden.
POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"


def web_page(content: "Content", drawn: Sequence["RenderedFigure"]) -> str:
    """Return the page as HTML."""
    charts = [make_interactive(one.spec) for one in drawn]
    figures = {one.figure.name: _figure(number, one.figure.caption) for number, one in enumerate(drawn)}
    first, *others = [figures[one.figure.name] for one in drawn if not content.embeds(one.figure)]
    parts = {
        "title": html.escape(content.plan.name),
        "policy": POLICY,
        "style": _resource("page.css"),
        "library": _library(),
        "script": _resource("page.js"),
        "question": html.escape(content.plan.question),
        "key": html.escape(content.plan.key),
        "switches": _switches(content.switches, content.rules),
        "text": markdown(content.text),
        "missing": markdown(content.missing),
        "first": first,
        "figures": "\n".join(others),
        "sections": re.sub(
            r'<p><img src="(\w+)\.png"[^>]*></p>', lambda found: figures[found[1]], markdown(content.sections)
        ),
        "command": html.escape(" ".join(["nowt report", content.plan.key, *content.options.args])),
        "charts": _data([{"spec": spec, "data": data} for spec, data in charts]),
        "cells": _data(content.switches),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _resource("page.html"))


def markdown(text: str) -> str:
    """Convert Markdown to HTML; HTML within it is escaped."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def _figure(number: int, caption: str) -> str:
    label = html.escape(caption, quote=True)
    return f'<figure><div class="chart" id="chart{number}" role="img" aria-label="{label}"></div></figure>'


def _switches(switches: dict[str, list[str]], rules: dict[str, str]) -> str:
    """Return one button per switch, given the rule of each cell."""
    shown = {name: rules.get(members[0], name.partition(",")[0]) for name, members in switches.items()}
    colors = rule_colors(set(shown.values()))
    return "\n".join(
        f'<button type="button" class="switch" aria-pressed="true" data-name="{html.escape(name, quote=True)}">'
        f'<i style="background:{colors[shown[name]]}"></i>{html.escape(name)}</button>'
        for name in switches
    )


def _data(value: Any) -> str:
    """Return JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def _library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script that defines vegaEmbed."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).replace("</script", "<\\/script")


@cache
def _resource(name: str) -> str:
    return (files("analysis.report") / "web" / name).read_text(encoding="utf-8")
