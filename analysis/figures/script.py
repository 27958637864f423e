"""Draws one figure of a study or search by itself.

Each figure's module defines ``SCRIPT`` and can be run: ``python -m analysis.figures.curves STUDY --store runs --out
figures``. ``python -m analysis --figure curves STUDY`` does the same.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from analysis.figures.options import Options
from analysis.figures.style.theme import save, vega_lite_spec
from analysis.frames.searches import SearchPlan
from analysis.frames.studies import StudyPlan, find_study
from analysis.frames.study import Frames, read_frames, require_counted_runs
from analysis.frames.trials import Trials, read_trials, require_counted_trials
from analysis.stats.costs import AXES
from analysis.tables.writers import make_folder
from nowt.core.errors import UserError, user_message
from nowt.core.formatting import printable

OPTIONS: dict[str, dict[str, Any]] = {
    "against": {"default": "epochs", "help": f"x axis of the curves: {', '.join(AXES)} (default: epochs)"},
    "published": {"action": "store_true", "help": "add the published ImageNet curves"},
    "margin": {"type": float, "metavar": "POINTS", "help": "equivalence margin, in percentage points of error"},
}

Draw = Callable[[Path, StudyPlan | SearchPlan, Options], Iterator[tuple[str, Any | None]]]


@dataclass(frozen=True)
class FigureScript:
    """A figure that can be drawn by itself."""

    name: str
    draw: Draw  # yields the name of each file, without suffix, and its chart
    requirement: str  # what a study must have for the figure to be drawn
    options: tuple[str, ...] = ()  # of OPTIONS

    def write(self, store: Path, study: str | None, out: Path, options: Options) -> list[Path]:
        """Draw the figure as PNG and SVG into ``out``, and return the paths.

        Raises ValueError if the study is unknown or of the wrong kind, has nothing to draw, or if an option has no
        effect on this figure.
        """
        self._require_own(options)
        plan = find_study(store, study)
        drawn = {stem: chart for stem, chart in self.draw(store, plan, options) if chart is not None}
        if not drawn:
            raise UserError(f"figure {self.name} cannot be drawn for {plan.key}: it requires {self.requirement}")
        make_folder(out)
        return [path for stem, chart in drawn.items() for path in save(vega_lite_spec(chart), out / stem)]

    def main(self, argv: list[str] | None = None) -> int:
        """Run the figure's command line: print the paths and return 0, or print one line of error and return 2."""
        parser = argparse.ArgumentParser(description=f"Draw figure {self.name} as PNG and SVG.")
        add_study_arguments(parser)
        for option in self.options:
            parser.add_argument(f"--{option}", **OPTIONS[option])
        args = vars(parser.parse_args(argv))
        store, study, out = (args.pop(name) for name in ("store", "study", "out"))
        return print_result(lambda: "\n".join(map(str, self.write(store, study, out, Options(**args)))))

    def _require_own(self, options: Options) -> None:
        for field in fields(options):
            if field.name not in self.options and getattr(options, field.name) != field.default:
                raise UserError(f"--{field.name} has no effect on figure {self.name}: leave it out")


def print_result(work: Callable[[], str]) -> int:
    """Print what ``work`` returns, and return 0; or one line of error, and 2. A bug keeps its traceback.

    Text from files, such as the names of cells, is printed with its control characters as escapes.
    """
    try:
        print(printable(work()))
    except Exception as error:
        if not (line := user_message(error)):
            raise
        print(line, file=sys.stderr)
        return 2
    return 0


def study_figure(name: str, chart: Callable[..., Any | None], requirement: str, *options: str) -> FigureScript:
    """Return the script of an ablation's figure: ``chart(frames)``, or ``chart(frames, options)`` if it has options."""

    def draw(store: Path, plan: StudyPlan | SearchPlan, chosen: Options) -> Iterator[tuple[str, Any | None]]:
        frames = frames_of(name, store, plan)
        yield name, chart(frames, chosen) if options else chart(frames)

    return FigureScript(name, draw, requirement, options)


def search_figure(name: str, chart: Callable[[Trials], Any | None], requirement: str) -> FigureScript:
    """Return the script of a search's figure, ``chart(trials)``."""

    def draw(store: Path, plan: StudyPlan | SearchPlan, options: Options) -> Iterator[tuple[str, Any | None]]:
        if not isinstance(plan, SearchPlan):
            raise UserError(f"figure {name} requires a search, and {plan.key} is an ablation: name a search")
        trials = read_trials(store, plan)
        require_counted_trials(trials)
        yield name, chart(trials)

    return FigureScript(name, draw, requirement)


def frames_of(name: str, store: Path, plan: StudyPlan | SearchPlan) -> Frames:
    """Return the frames of an ablation. Raises ValueError for a search, and if no run has finished."""
    if isinstance(plan, SearchPlan):
        raise UserError(f"figure {name} requires an ablation, and {plan.key} is a search: name an ablation")
    frames = read_frames(store, plan)
    require_counted_runs(frames)
    return frames


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that the report and every figure share."""
    parser.add_argument("study", nargs="?", help="name or key of the study or search (default: the newest)")
    parser.add_argument("--store", type=Path, default=Path("runs"), help="folder of the runs (default: runs)")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="output folder (default: figures)")
