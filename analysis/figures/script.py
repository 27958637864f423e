"""Each figure can be drawn alone: ``python -m analysis.figures.curves STUDY --store runs --out figures``."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from analysis.figures.options import Options
from analysis.figures.style.theme import save, spec_of
from analysis.frames.checks import require_counted_runs, require_counted_trials
from analysis.frames.searches import SearchPlan
from analysis.frames.studies import StudyPlan, find_study
from analysis.frames.study import Frames, read_frames
from analysis.frames.trials import Trials, read_trials
from analysis.stats.costs import AXES
from analysis.tables.writers import make_folder

OPTIONS: dict[str, dict[str, Any]] = {
    "against": {"default": "epochs", "help": f"x axis: {', '.join(AXES)} (default: epochs)"},
    "published": {"action": "store_true", "help": "the published ImageNet curves, too"},
    "margin": {"type": float, "help": "points of error that count as equal"},
}
Draw = Callable[[Path, StudyPlan | SearchPlan, Options], Iterator[tuple[str, Any | None]]]


def study_figure(name: str, chart: Callable[..., Any | None], needs: str, *takes: str) -> int:
    """Draw the figure of an ablation: ``chart(frames)``, or ``chart(frames, options)`` where it ``takes`` some of them.

    ``needs`` says what the figure cannot be drawn without. Returns 0, or 2 after one line of what is wrong.
    """

    def draw(store: Path, plan: StudyPlan | SearchPlan, options: Options) -> Iterator[tuple[str, Any | None]]:
        frames = frames_of(name, store, plan)
        yield name, chart(frames, options) if takes else chart(frames)

    return run(name, draw, needs, *takes)


def search_figure(name: str, chart: Callable[[Trials], Any | None], needs: str) -> int:
    """Draw the figure of a search. Returns 0, or 2 after one line of what is wrong."""

    def draw(store: Path, plan: StudyPlan | SearchPlan, options: Options) -> Iterator[tuple[str, Any | None]]:
        if not isinstance(plan, SearchPlan):
            raise ValueError(f"{plan.key} is an ablation, and the figure {name} is of a search: name one")
        trials = read_trials(store, plan)
        require_counted_trials(trials)
        yield name, chart(trials)

    return run(name, draw, needs)


def frames_of(name: str, store: Path, plan: StudyPlan | SearchPlan) -> Frames:
    """The frames of an ablation. Raises ValueError for a search, and where nothing has finished."""
    if isinstance(plan, SearchPlan):
        raise ValueError(f"{plan.key} is a search, and the figure {name} is of an ablation: name one")
    frames = read_frames(store, plan)
    require_counted_runs(frames)
    return frames


def run(name: str, draw: Draw, needs: str, *takes: str) -> int:
    """Draw what ``draw`` gives for the study that the command line names, and print each file that was written."""
    typed = vars(_parser(name, takes).parse_args())
    store, study, out = (typed.pop(word) for word in ("store", "study", "out"))
    try:
        options, plan = Options(**typed), find_study(store, study)
        drawn = {stem: chart for stem, chart in draw(store, plan, options) if chart is not None}
        if not drawn:
            raise ValueError(f"the figure {name} cannot be drawn for {plan.key}: it takes {needs}")
        make_folder(out)
        for stem, chart in drawn.items():
            print(*save(spec_of(chart), out / stem), sep="\n")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser(name: str, takes: tuple[str, ...]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=f"The figure {name}, as PNG and SVG.")
    parser.add_argument("study", nargs="?", help="name or key of the study or search (default: the newest)")
    parser.add_argument("--store", type=Path, default=Path("runs"), help="folder of the runs (default: runs)")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder to write to (default: figures)")
    for option in takes:
        parser.add_argument(f"--{option}", **OPTIONS[option])
    return parser
