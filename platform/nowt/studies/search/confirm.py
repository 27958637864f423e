"""``nowt search --confirm K``: runs each cell's best settings on fresh seeds, and its pick once on test images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nowt.config.run_config import config_to_json
from nowt.store.layout import Store
from nowt.store.study_file import StudyFile, read_study_files
from nowt.studies.search import best_trials as best
from nowt.studies.search.best_trials import BestTrial, format_percent
from nowt.studies.study import Cell, Study


def confirm(store: Path, search: str, limit: int, seeds: int, run: best.Run) -> str:
    """Run the ``limit`` best settings of each cell on ``seeds`` fresh seeds, scored on validation images. Then run each
    cell's pick once more with test images. Return the results as text.

    The pick is the setting with the lowest mean validation error. Raises StudyIncomplete if runs are missing.
    """
    search_file = best.find_search(store, search)
    found = best.best_trials(store, search_file, limit)
    fresh = best.fresh_seeds(search_file, seeds)
    confirmed = _confirmed(search_file, found, fresh)
    val = best.mean_errors(store, confirmed, "val", run)
    picks = _picks(found, val)
    picked = _picked(search_file, picks, fresh)
    test = best.mean_errors(store, picked, "test", run)
    cells = [cell["name"] for cell in search_file.cells]
    missing = [f"  {cell}: no trial finished" for cell in cells if cell not in picks]
    next_ = f"Next: nowt report {picked.name} --store {store}    or    nowt report {confirmed.name} --store {store}"
    results = Confirmation(found, picks, val, test, seeds).to_text()
    return "\n".join([results, *missing, *_earlier_picks(store, picked), next_])


@dataclass(frozen=True)
class Confirmation:
    """The mean errors of a search's best settings on fresh seeds."""

    found: Sequence[BestTrial]
    picks: Mapping[str, BestTrial]  # by cell
    val: Mapping[str, float]  # mean validation error by name of the setting
    test: Mapping[str, float]  # mean test error by cell
    seeds: int

    def to_text(self) -> str:
        """Return one line per setting, then one per pick."""
        lines = [f"val error, mean over {best.format_seeds(self.seeds)} (in the search, one seed):"]
        for one in self.found:
            lines.append(f"  {one.name}: {format_percent(self.val[one.name])} ({format_percent(one.error)})")
        lines.append("picks, by the lowest mean val error; test error, mean over the same seeds:")
        for cell, pick in self.picks.items():
            val, test = format_percent(self.val[pick.name]), format_percent(self.test[cell])
            lines.append(f"  {cell}: trial {pick.trial}, val {val}, test {test}")
        return "\n".join(lines)


def _confirmed(search_file: StudyFile, found: Sequence[BestTrial], seeds: tuple[int, ...]) -> Study:
    cells = tuple(Cell(one.name, one.config) for one in found)
    question = f"Which of the best settings that {search_file.name} found holds on fresh seeds?"
    reference = next((one.name for one in found if one.cell == search_file.reference), found[0].name)
    return Study(f"{search_file.name}_confirmed", question, cells, seeds, reference)


def _picks(found: Sequence[BestTrial], val: Mapping[str, float]) -> dict[str, BestTrial]:
    """Return the setting with the lowest mean error by cell, in the order of ``found``."""
    picks: dict[str, BestTrial] = {}
    for one in found:
        if one.cell not in picks or (val[one.name], one.trial) < (val[picks[one.cell].name], picks[one.cell].trial):
            picks[one.cell] = one
    return picks


def _picked(search_file: StudyFile, picks: Mapping[str, BestTrial], seeds: tuple[int, ...]) -> Study:
    cells = tuple(Cell(cell, replace(one.config, test=True)) for cell, one in picks.items())
    reference = search_file.reference if search_file.reference in picks else cells[0].name
    name = search_file.name
    return Study(f"{name}_picks", f"How do the picks of {name} compare?", cells, seeds, reference)


def _earlier_picks(store: Path, picked: Study) -> list[str]:
    """Return a line if these test images have scored other picks. Choosing among picks by test error would be unfair,
    so all of them are to be reported."""
    data = config_to_json(picked.cells[0].config)["data"]
    others = [
        file.key
        for file in read_study_files(store)
        if (file.name == picked.name and file.key != picked.key)
        and file.cells[0]["config"]["data"] == data
        and any(Store(store).log(run.key).exists() for run in file.runs)
    ]
    notice = f"other picks were already scored on these test images; report them, too: {', '.join(others)}"
    return [notice] if others else []
