"""``python -m analysis STUDY --store runs --out figures``: the report of a study or search, or one of its figures."""

import argparse
import sys
from importlib import import_module
from pkgutil import iter_modules

import analysis.figures
from analysis.figures.options import Options
from analysis.figures.script import OPTIONS, FigureScript, add_study_arguments, print_result
from analysis.report.study import report


def main(argv: list[str] | None = None) -> int:
    """Write the report and print its table, or draw one figure. Return 0, or 2 after one line of error."""
    figures = figure_scripts()
    parser = argparse.ArgumentParser(prog="python -m analysis", description="Figures and tables of a study or search.")
    add_study_arguments(parser)
    parser.add_argument(
        "--figure", choices=figures, metavar="NAME", help=f"draw only this figure, one of {', '.join(figures)}"
    )
    for name, settings in OPTIONS.items():
        parser.add_argument(f"--{name}", **settings)
    args = parser.parse_args(argv)
    return print_result(lambda: _drawn(args, figures))


def _drawn(args: argparse.Namespace, figures: dict[str, FigureScript]) -> str:
    """Write the report or the figure, and return what to print."""
    if args.figure:
        options = Options(args.against, args.published, args.margin)
        return "\n".join(map(str, figures[args.figure].write(args.store, args.study, args.out, options)))
    return str(report(args.store, args.study, args.out, args.margin, args.against, args.published))


def figure_scripts() -> dict[str, FigureScript]:
    """Return the figures that can be drawn by themselves, by the name of their module."""
    modules = {
        found.name: import_module(f"analysis.figures.{found.name}") for found in iter_modules(analysis.figures.__path__)
    }
    return {name: module.SCRIPT for name, module in modules.items() if hasattr(module, "SCRIPT")}


if __name__ == "__main__":
    sys.exit(main())
