"""``nowt search --confirm K``: runs each cell's best settings on fresh seeds, and its pick once on test images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Literal

from nowt.config.run_config import config_to_json
from nowt.core.errors import require
from nowt.core.formatting import counted
from nowt.store.layout import Store
from nowt.store.study_file import StudyFile, read_study_file, read_study_files
from nowt.studies.claim import Claim
from nowt.studies.search import best_trials as best
from nowt.studies.search.best_trials import BestTrial
from nowt.studies.search.confirmation import Confirm
from nowt.studies.search.mean_error import MeanError, format_percent
from nowt.studies.study import Cell, Study


def confirm(store: Path, search: str, how: Confirm, run: best.Run) -> str:
    """Run the best settings of each cell on fresh seeds, scored on validation images. Then run each cell's pick with
    test images. Return the results as text.

    The pick is the setting with the lowest mean validation error. With one setting per cell, only the picks are run.
    Raises StudyIncomplete if runs are missing, ConfigError if picks have trained with a seed that chose them.
    """
    search_file = best.find_search(store, search)
    found = best.best_trials(store, search_file, how.settings)
    val, confirmed = {}, None
    if how.settings > 1:
        confirmed = _confirmed(search_file, found, best.fresh_seeds(search_file, how.seeds))
        val = best.mean_errors(store, confirmed, "val", run)
    picks = _picks(found, val)
    picked = _picked(search_file, picks, _pick_seeds(store, search_file, how), how.test)
    if how.pick_seeds is not None:
        _require_unused_seeds(store, search_file, picked)
    test = best.mean_errors(store, picked, "test", run)
    results = Confirmation(found, picks, val, test, how).to_text()
    studies = [picked] if confirmed is None else [confirmed, picked]
    seeds = [line for study in studies for line in best.further_seeds(store, study)]
    lines = [results, *seeds, *_missing(search_file, picks, picked.reference), *_earlier_picks(store, picked)]
    return "\n".join([*lines, _next(picked, confirmed, store)])


@dataclass(frozen=True)
class Confirmation:
    """The mean errors of a search's best settings on fresh seeds."""

    found: Sequence[BestTrial]
    picks: Mapping[str, BestTrial]  # by cell
    val: Mapping[str, MeanError]  # mean validation error by name of the setting; empty if only the picks were run
    test: Mapping[str, MeanError]  # mean test error by cell
    how: Confirm

    def to_text(self) -> str:
        """Return one line per setting, then one per pick."""
        return "\n".join([*self._settings(), *self._picks()])

    def _settings(self) -> Iterable[str]:
        if self.val:
            yield f"val error, mean over {best.format_seeds(self.how.seeds)} (in the search, one seed):"
            for one in self.found:
                yield f"  {one.name}: {self.val[one.name].to_text()} ({format_percent(one.error)})"

    def _picks(self) -> Iterable[str]:
        pick_seeds = self.how.pick_seeds
        if self.val:
            seeds = "the same seeds" if pick_seeds is None else f"{counted(pick_seeds, 'seed')} that chose nothing"
            yield f"picks, by the lowest mean val error; test error, mean over {seeds}:"
        else:
            seeds = best.format_seeds(pick_seeds or self.how.seeds)
            yield f"picks, by the lowest val error in the search; test error, mean over {seeds}:"
        for cell, pick in self.picks.items():
            val = self.val.get(pick.name, MeanError(pick.error))
            yield f"  {cell}: trial {pick.trial}, val {val.to_text()}, test {self.test[cell].to_text()}"


def _confirmed(search_file: StudyFile, found: Sequence[BestTrial], seeds: tuple[int, ...]) -> Study:
    cells = tuple(Cell(one.name, one.config) for one in found)
    question = f"Which of the best settings that {search_file.name} found holds on fresh seeds?"
    reference = next((one.name for one in found if one.cell == search_file.reference), found[0].name)
    return Study(f"{search_file.name}_confirmed", question, cells, seeds, reference, search=search_file.key)


def _picks(found: Sequence[BestTrial], val: Mapping[str, MeanError]) -> dict[str, BestTrial]:
    """Return the setting with the lowest mean error by cell, in the order of ``found``; the error in the search counts
    for settings without one in ``val``."""
    errors = {one.name: val[one.name].error if one.name in val else one.error for one in found}
    picks: dict[str, BestTrial] = {}
    for one in found:
        known = picks.setdefault(one.cell, one)
        if (errors[one.name], one.trial) < (errors[known.name], known.trial):
            picks[one.cell] = one
    return picks


def _picked(
    search_file: StudyFile, picks: Mapping[str, BestTrial], seeds: tuple[int, ...], test: Literal[True, "last"]
) -> Study:
    cells = tuple(Cell(cell, replace(one.config, test=test)) for cell, one in picks.items())
    reference = search_file.reference if search_file.reference in picks else cells[0].name
    name, claim = search_file.name, _claim(search_file)
    lacking = [] if claim is None else _without_pick(search_file, claim, picks)
    claim = None if lacking else claim
    question = f"How do the picks of {name} compare?"
    return Study(f"{name}_picks", question, cells, seeds, reference, claim=claim, search=search_file.key)


def _claim(search_file: StudyFile) -> Claim | None:
    return None if search_file.claim is None else Claim.from_json(search_file.claim)


def _without_pick(search_file: StudyFile, claim: Claim, picks: Mapping[str, BestTrial]) -> list[str]:
    """Return the cells of a claim, and the reference, that have no pick."""
    return [cell for cell in (search_file.reference, *claim.cells) if cell not in picks]


def _pick_seeds(store: Path, search_file: StudyFile, how: Confirm) -> tuple[int, ...]:
    """Return the seeds of the picks: those of the confirmation, or seeds that chose no setting."""
    if how.pick_seeds is None:
        return best.fresh_seeds(search_file, how.seeds)
    return best.fresh_seeds(search_file, how.pick_seeds, _choosing_seeds(store, search_file))


def _choosing_seeds(store: Path, search_file: StudyFile) -> set[int]:
    """Return the seeds with which the best settings have been run so far."""
    confirmed = f"{search_file.name}_confirmed"
    return {run.seed for file in read_study_files(store) if file.name == confirmed for run in file.runs}


def _require_unused_seeds(store: Path, search_file: StudyFile, picked: Study) -> None:
    """Raise ConfigError if an earlier start has run the same picks with seeds that have chosen them: the report of the
    picks would include these runs."""
    path = Store(store).study_file(picked.key)
    listed = {run.seed for run in read_study_file(path).runs} if path.exists() else set()
    both = sorted(listed & _choosing_seeds(store, search_file))
    seeds = ", ".join(map(str, both))
    problem = (
        f"{picked.key} already has runs with seeds that chose its settings ({seeds}), and reports would include them"
    )
    require(not both, f"{problem}: leave out --pick-seeds, or search in another store")


def _missing(search_file: StudyFile, picks: Mapping[str, BestTrial], reference: str) -> list[str]:
    """Return a line for each cell without a pick, one if it is the reference, in place of which ``reference`` is used,
    and one if the claim cannot be tested without it."""
    lines = [f"  {cell['name']}: no trial finished" for cell in search_file.cells if cell["name"] not in picks]
    if search_file.reference not in picks:
        lines.append(f"the reference {search_file.reference} has no pick: picks are compared with {reference}")
    claim = _claim(search_file)
    lacking = [] if claim is None else _without_pick(search_file, claim, picks)
    return lines + (
        [f"the claim of {search_file.name} is not tested: {', '.join(lacking)} has no pick"] if lacking else []
    )


def _next(picked: Study, confirmed: Study | None, store: Path) -> str:
    other = f"    or    nowt report {confirmed.name} --store {quote(str(store))}" if confirmed else ""
    return f"Next: nowt report {picked.name} --store {quote(str(store))}{other}"


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
