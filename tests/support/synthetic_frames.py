"""Frames of synthetic studies and searches, and the text of figures drawn from them."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import vl_convert

from analysis.figures.style.theme import vega_lite_spec
from analysis.frames.searches import SearchPlan
from analysis.frames.studies import StudyPlan, find_study
from analysis.frames.study import Frames, read_frames
from analysis.frames.trials import Trials, read_trials
from nowt.studies.study import Cell, Study
from tests.support.synthetic_search import write_search
from tests.support.synthetic_store import rules_study, write_store


def frames_of(store: Path, study: Study | None = None, **options: Any) -> Frames:
    """Write a study with synthetic runs, and return its frames."""
    write_store(store, study or rules_study(epochs=3), **{"layers": 3, **options})
    return frames_in(store)


def frames_with(store: Path, study: Study, error: Any = None, **options: Any) -> Frames:
    """Write a study with one layer and these errors, ``error(cell, seed, epoch)``, and return its frames."""
    return frames_of(store, study, error=error, **{"layers": 1, **options})


def frames_in(store: Path) -> Frames:
    """Return the frames of the newest study in the store."""
    plan = find_study(store)
    assert isinstance(plan, StudyPlan)
    return read_frames(store, plan)


def trials_of(store: Path, *arguments: Any, **options: Any) -> Trials:
    """Write a search with synthetic trials, and return them."""
    write_search(store, *arguments, **options)
    return trials_in(store)


def trials_in(store: Path) -> Trials:
    """Return the trials of the newest search in the store."""
    plan = find_study(store)
    assert isinstance(plan, SearchPlan)
    return read_trials(store, plan)


def one_epoch(study: Study, seeds: int) -> Study:
    """Return the study with one epoch per run and this number of seeds."""
    cells = tuple(Cell(cell.name, replace(cell.config, epochs=1)) for cell in study.cells)
    return replace(study, cells=cells, seeds=tuple(range(seeds)))


def text_of(chart: Any) -> str:
    """Return all text that a figure shows."""
    return " ".join(ElementTree.fromstring(vl_convert.vegalite_to_svg(vega_lite_spec(chart))).itertext())


def svg_text(path: Path) -> str:
    """Return all text in an SVG file."""
    return " ".join(ElementTree.parse(path).getroot().itertext())
