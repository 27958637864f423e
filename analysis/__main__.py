"""``python -m analysis STUDY --store runs --out figures``: figures and tables of a study or search."""

import argparse
import sys
from pathlib import Path

from analysis.report.study import report
from analysis.stats.costs import AXES


def main(arguments: list[str] | None = None) -> int:
    """Write the report and print its table. Returns 0, or 2 after one line of what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description="Figures and tables of a study or search.")
    parser.add_argument("study", nargs="?", help="name or key of the study or search (default: the newest)")
    parser.add_argument("--store", type=Path, default=Path("runs"), help="folder of the runs (default: runs)")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder to write to (default: figures)")
    parser.add_argument(
        "--margin", type=float, help="points of error: which cells are shown to be this near the reference?"
    )
    parser.add_argument(
        "--against", default="epochs", help=f"x axis of the curves: {', '.join(AXES)} (default: epochs)"
    )
    parser.add_argument("--published", action="store_true", help="the published ImageNet curves, too")
    typed = parser.parse_args(arguments)
    try:
        print(report(typed.store, typed.study, typed.out, typed.margin, typed.against, typed.published))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
