"""``nowt transfer``: a search's best settings, unchanged, on another net or other pictures, and what carries over.

A setting is the trial's rule, its whole optimiser, and whatever else was searched; η alone, found with another momentum
or decay, would be another setting. All the rest is the target's, and so is what the options give.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nowt.config.overrides import Override, apply_overrides, set_fields, value_at
from nowt.config.run_config import RunConfig, config_from_json
from nowt.core.errors import require
from nowt.rules.base import Rule
from nowt.store.study_file import StudyFile
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


@dataclass(frozen=True)
class Target:
    """Where settings are carried to: a recipe, what to call it, and fields of it that are given anew."""

    name: str
    recipe: Callable[[Rule], RunConfig]
    overrides: Sequence[Override] = ()

    def under(self, rule: Rule) -> RunConfig:
        """The recipe with ``rule``; a transfer opens no test pictures."""
        return replace(apply_overrides(self.recipe(rule), self.overrides), test=False)


def transfer(store: Path, search: str, target: Target, most: int, seeds: int, run: Run) -> str:
    """Run the ``most`` best settings of each cell on ``target``, beside the recipe as it stands; what carried over.

    Raises NotWhole.
    """
    require(most >= 1, f"--best is {most}: it must be at least 1")
    study_file = search_file(store, search)
    found = best(store, study_file, most)
    study = _study(study_file, found, target, fresh_seeds(study_file, seeds))
    text = _words(study_file, found, mean_errors(store, study, "val", run), seeds)
    return f"{text}\nNext: nowt report {study.name} --store {store}"


def _study(study_file: StudyFile, found: Sequence[BestTrial], target: Target, seeds: tuple[int, ...]) -> Study:
    searched = {cell["name"]: {param["path"] for param in cell["params"]} for cell in study_file.cells}
    for override in target.overrides:
        none = f"--{override.path} has no place in a transfer"
        require(override.path != "rule", f"{none}: each setting keeps the rule that it was found for")
        require(override.path != "seed", f"{none}: --seeds N runs N seeds that the search did not use")
        require(override.path != "test", f"{none}: it opens no test pictures")
        path = override.path.replace("-", "_")
        taken = any(path in paths for paths in searched.values()) and not path.startswith("optim.")
        require(
            not taken, f"--{override.path} is what {study_file.name} searched, and it is carried over: leave it out"
        )
    cells = []
    for cell in study_file.cells:
        cells.append(Cell(f"{cell['name']} recipe", target.under(config_from_json(cell["config"]).rule)))
        mine = (one for one in found if one.cell == cell["name"])
        cells += [Cell(one.name, _carried(one, searched[one.cell], target)) for one in mine]
    reference = f"{study_file.reference} recipe"
    return Study(
        f"{study_file.name}_on_{target.name}",
        f"Do the settings that {study_file.name} found carry over to {target.name}?",
        tuple(cells),
        seeds,
        reference if reference in {cell.name for cell in cells} else cells[0].name,
    )


def _carried(one: BestTrial, searched: set[str], target: Target) -> RunConfig:
    """The target with the setting in place; warm-up and milestones keep their share of the run."""
    config = target.under(one.config.rule)
    pace, optim = config.epochs / one.config.epochs, one.config.optim
    steps = tuple(epoch * pace for epoch in optim.milestones)
    config = replace(config, optim=replace(optim, warmup=optim.warmup * pace, milestones=steps))
    others = {path for path in searched if not path.startswith(("rule.", "optim."))}
    return set_fields(config, {path: value_at(one.config, path) for path in others})


def _words(study_file: StudyFile, found: Sequence[BestTrial], val: Mapping[str, float], seeds: int) -> str:
    lines = [f"val error on the target, mean over {seeds_in_words(seeds)} (where it was found, one seed):"]
    for cell in (cell["name"] for cell in study_file.cells):
        mine = [one for one in found if one.cell == cell]
        settings = ", ".join(f"trial {one.trial} {percent(val[one.name])} ({percent(one.error)})" for one in mine)
        settings = settings or "no trial finished"
        recipe = f"the recipe as it stands {percent(val[f'{cell} recipe'])}"
        lines.append(f"  {cell}: {settings}; {recipe}{_order(mine, val)}")
    return "\n".join(lines)


def _order(found: Sequence[BestTrial], val: Mapping[str, float]) -> str:
    """Spearman's rank correlation of the settings' errors there and here, from three settings on."""
    from scipy.stats import spearmanr

    there, here = [one.error for one in found], [val[one.name] for one in found]
    if len(found) < 3 or len(set(there)) < 2 or len(set(here)) < 2:
        return ""
    return f"; rank correlation {spearmanr(there, here).statistic:+.2f} of {len(found)}"
