"""``nowt search --confirm K``: each rule's best settings on fresh seeds, and its pick once on the test pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nowt.config.run_config import config_to_json
from nowt.store.layout import Store
from nowt.store.study_file import StudyFile, read_study_files
from nowt.studies.search.best_trials import (
    BestTrial,
    Run,
    best,
    fresh_seeds,
    mean_errors,
    percent,
    search_file,
    seeds_in_words,
)
from nowt.studies.study import Cell, Study


def confirm(store: Path, search: str, most: int, seeds: int, run: Run) -> str:
    """Run the ``most`` best settings of each cell on ``seeds`` fresh seeds, scored on validation pictures; then each
    cell's pick, the lowest mean, once more with the test pictures open; what came out. Raises NotWhole."""
    study_file = search_file(store, search)
    found, fresh = best(store, study_file, most), fresh_seeds(study_file, seeds)
    confirmed = _confirmed(study_file, found, fresh)
    val = mean_errors(store, confirmed, "val", run)
    picks = _picks(found, val)
    picked = _picked(study_file, picks, fresh)
    test = mean_errors(store, picked, "test", run)
    missing = [f"  {cell['name']}: no trial finished" for cell in study_file.cells if cell["name"] not in picks]
    told = [_words(found, picks, val, test, seeds), *missing, *_seen_before(store, picked)]
    next_ = f"Next: nowt report {picked.name} --store {store}    or    nowt report {confirmed.name} --store {store}"
    return "\n".join([*told, next_])


def _confirmed(study_file: StudyFile, found: Sequence[BestTrial], seeds: tuple[int, ...]) -> Study:
    cells = tuple(Cell(one.name, one.config) for one in found)
    question = f"Which of the best settings that {study_file.name} found holds on fresh seeds?"
    reference = next((one.name for one in found if one.cell == study_file.reference), found[0].name)
    return Study(f"{study_file.name}_confirmed", question, cells, seeds, reference)


def _picks(found: Sequence[BestTrial], val: Mapping[str, float]) -> dict[str, BestTrial]:
    """By cell, the setting with the lowest mean error; in the order of ``found``."""
    picks: dict[str, BestTrial] = {}
    for one in found:
        if one.cell not in picks or (val[one.name], one.trial) < (val[picks[one.cell].name], picks[one.cell].trial):
            picks[one.cell] = one
    return picks


def _picked(study_file: StudyFile, picks: Mapping[str, BestTrial], seeds: tuple[int, ...]) -> Study:
    cells = tuple(Cell(cell, replace(one.config, test=True)) for cell, one in picks.items())
    reference = study_file.reference if study_file.reference in picks else cells[0].name
    return Study(f"{study_file.name}_picks", f"How do the picks of {study_file.name} compare?", cells, seeds, reference)


def _seen_before(store: Path, picked: Study) -> list[str]:
    """A line where these test pictures have scored other picks: they choose nothing as long as all are told of."""
    pictures = config_to_json(picked.cells[0].config)["data"]
    others = [
        study_file.key
        for study_file in read_study_files(store)
        if (study_file.name == picked.name and study_file.key != picked.key)
        and study_file.cells[0]["config"]["data"] == pictures
        and any(Store(store).log(run.key).exists() for run in study_file.runs)
    ]
    return [f"the test pictures scored other picks before: tell of {', '.join(others)}, too"] if others else []


def _words(
    found: Sequence[BestTrial],
    picks: Mapping[str, BestTrial],
    val: Mapping[str, float],
    test: Mapping[str, float],
    seeds: int,
) -> str:
    lines = [f"val error, mean over {seeds_in_words(seeds)} (in the search, one seed):"]
    lines += [f"  {one.name}: {percent(val[one.name])} ({percent(one.error)})" for one in found]
    lines.append("picks, by the lowest mean val error; test error, mean over the same seeds:")
    for cell, pick in picks.items():
        lines.append(f"  {cell}: trial {pick.trial}, val {percent(val[pick.name])}, test {percent(test[cell])}")
    return "\n".join(lines)
