"""Merges the runs that two stores list of one study: each once, and of each cell and seed the run that counts last."""

from collections.abc import Callable, Mapping

from nowt.store.listed_runs import ListedRun
from nowt.store.study_file import StudyFile

CellSeed = tuple[str, int]


def runs_of_both(ours: StudyFile, theirs: StudyFile, begun: Callable[[str], int]) -> list[ListedRun]:
    """Return our runs and then those that only ``theirs`` has. Fields that differ are ours.

    Of a cell and seed of an ablation, the last run counts. A run that one of the stores has replaced by another stays
    replaced. If neither store knows the other's run, the one that began later counts. ``begun`` returns when a run
    began, milliseconds since 1970, or 0 if it has not.
    """
    known = {run.identity: run.to_json() for run in theirs.runs}
    listed = {run.identity for run in ours.runs}
    both = [ListedRun.from_json({**known.get(run.identity, {}), **run.to_json()}) for run in ours.runs]
    both += [run for run in theirs.runs if run.identity not in listed]
    return both if ours.is_search else _with_counting_last(both, _counting(ours, theirs, begun))


def _counting(ours: StudyFile, theirs: StudyFile, begun: Callable[[str], int]) -> dict[CellSeed, str]:
    """Return the key of the run that counts, for each cell and seed of which both stores list runs."""
    mine, others = _keys(ours), _keys(theirs)
    found = {}
    for place in mine.keys() & others.keys():
        our_last, their_last = mine[place][-1], others[place][-1]
        replaced_here, replaced_there = their_last in mine[place], our_last in others[place]
        if replaced_here != replaced_there:
            newer_here = replaced_here
        elif replaced_here:  # both began, then images were changed back: the later command decides
            newer_here = _last_start(ours) >= _last_start(theirs)
        else:
            times = begun(our_last) or _last_start(ours), begun(their_last) or _last_start(theirs)
            newer_here = times[0] >= times[1]
        found[place] = our_last if newer_here else their_last
    return found


def _keys(study: StudyFile) -> dict[CellSeed, list[str]]:
    found: dict[CellSeed, list[str]] = {}
    for run in study.runs:
        found.setdefault((run.cell, run.seed), []).append(run.key)
    return found


def _last_start(study: StudyFile) -> int:
    return study.started or study.created  # earlier versions did not record the former


def _with_counting_last(runs: list[ListedRun], counting: Mapping[CellSeed, str]) -> list[ListedRun]:
    """Return the runs in their order, except that of each cell and seed the counting one is last."""
    merged = list(runs)
    places: dict[CellSeed, list[int]] = {}
    for index, run in enumerate(runs):
        places.setdefault((run.cell, run.seed), []).append(index)
    for place, last in counting.items():
        in_order = sorted((runs[index] for index in places[place]), key=lambda run: run.key == last)
        for index, run in zip(places[place], in_order, strict=True):
            merged[index] = run
    return merged
