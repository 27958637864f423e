"""The report of a study or search: figures, tables, text and a manifest of their sources."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.report.content import Report
    from analysis.report.study import report

__all__ = ["Report", "report"]


def __getattr__(name: str) -> Any:
    """Import on first use: ``nowt report --check`` needs no figures."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from analysis.report import content, study

    return {"Report": content.Report, "report": study.report}[name]
