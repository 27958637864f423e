"""``nowt transfer``: runs a search's best settings, unchanged, on another recipe, and compares the errors.

A setting is the trial's rule, its complete optimizer config, and the other fields that were searched. All other fields
are those of the target recipe, which the command line can change.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from nowt.config.field_names import Override
from nowt.config.overrides import apply_overrides, set_fields, value_at
from nowt.config.recipes import scored_on_validation
from nowt.config.run_config import RunConfig
from nowt.config.stored_config import stored_config
from nowt.core.errors import require
from nowt.rules.base import Rule
from nowt.store.study_file import StudyFile
from nowt.studies.search import best_trials as best
from nowt.studies.search.best_trials import BestTrial
from nowt.studies.search.mean_error import MeanError, format_percent
from nowt.studies.study import Cell, Study


@dataclass(frozen=True)
class Target:
    """The target of a transfer: a recipe, its name, and the fields that the command line changes."""

    name: str
    recipe: Callable[[Rule], RunConfig]
    overrides: Sequence[Override] = ()

    def with_rule(self, rule: Rule) -> RunConfig:
        """Return the target's config with ``rule``. It uses no test images, and holds out validation images."""
        config = scored_on_validation(self.recipe(rule))
        return replace(apply_overrides(config, self.overrides), test=False)


def transfer(store: Path, search: str, target: Target, limit: int, seeds: int, run: best.Run) -> str:
    """Train the ``limit`` best settings of each cell, and the unchanged recipe, on ``target``. Return the results as
    text.

    Raises ConfigError for an option that a transfer does not allow, StudyIncomplete if runs are missing.
    """
    require(limit >= 1, f"--best is {limit}: it must be at least 1")
    search_file = best.find_search(store, search)
    found = best.best_trials(store, search_file, limit)
    study = _study(search_file, found, target, best.fresh_seeds(search_file, seeds))
    val = best.mean_errors(store, study, "val", run)
    lines = [f"val error on the target, mean over {best.format_seeds(seeds)} (in the search, one seed):"]
    for cell in (cell["name"] for cell in search_file.cells):
        lines.append(_to_text(cell, [one for one in found if one.cell == cell], val))
    lines += best.further_seeds(store, study)
    return "\n".join([*lines, f"Next: nowt report {study.name} --store {quote(str(store))}"])


def _study(search_file: StudyFile, found: Sequence[BestTrial], target: Target, seeds: tuple[int, ...]) -> Study:
    """Return a study of each cell's settings on the target, and of the target recipe with each cell's rule."""
    searched = {cell["name"]: {param["path"] for param in cell["params"]} for cell in search_file.cells}
    name = search_file.name
    _check_overrides(target.overrides, name, set().union(*searched.values()))
    cells = []
    for cell in search_file.cells:
        rule = stored_config(cell["config"], f"search {name}").rule
        cells.append(Cell(f"{cell['name']} recipe", target.with_rule(rule)))
        mine = (one for one in found if one.cell == cell["name"])
        cells += [Cell(one.name, _transferred(one, searched[one.cell], target)) for one in mine]
    reference = f"{search_file.reference} recipe"
    return Study(
        f"{name}_on_{target.name}",
        f"Do the settings that {name} found carry over to {target.name}?",
        tuple(cells),
        seeds,
        reference if reference in {cell.name for cell in cells} else cells[0].name,
    )


def _check_overrides(overrides: Sequence[Override], search: str, searched: set[str]) -> None:
    for override in overrides:
        no_use = f"--{override.path} cannot be used with a transfer"
        require(override.path != "rule", f"{no_use}: each setting keeps the rule that it was found with")
        require(override.path != "seed", f"{no_use}; --seeds N runs N seeds that the search did not use")
        require(override.path != "test", f"{no_use}, which does not use test images")
        path = override.path.replace("-", "_")
        taken = path in searched and not path.startswith("optim.")
        require(not taken, f"{no_use}: {search!r} searched this field, and each setting keeps its value. Leave it out")


def _transferred(one: BestTrial, searched: set[str], target: Target) -> RunConfig:
    """Return the target recipe with the setting in place. Warm-up and milestones keep their share of the run."""
    config = target.with_rule(one.config.rule)
    ratio, optim = config.epochs / one.config.epochs, one.config.optim
    milestones = tuple(epoch * ratio for epoch in optim.milestones)
    config = replace(config, optim=replace(optim, warmup=optim.warmup * ratio, milestones=milestones))
    others = {path for path in searched if not path.startswith(("rule.", "optim."))}
    return set_fields(config, {path: value_at(one.config, path) for path in others})


def _to_text(cell: str, found: Sequence[BestTrial], val: Mapping[str, MeanError]) -> str:
    """Return one line: each setting's error on the target and in the search, and the error of the unchanged recipe."""
    errors = [(one.trial, val[one.name].to_text(), format_percent(one.error)) for one in found]
    settings = ", ".join(f"trial {trial} {here} ({there})" for trial, here, there in errors) or "no trial finished"
    recipe = f"the unchanged recipe {val[f'{cell} recipe'].to_text()}"
    return f"  {cell}: {settings}; {recipe}{_rank_correlation(found, val)}"


def _rank_correlation(found: Sequence[BestTrial], val: Mapping[str, MeanError]) -> str:
    """Return Spearman's rank correlation of the settings' errors in the search and on the target as text; empty for
    fewer than three settings or equal errors."""
    from scipy.stats import spearmanr

    before, after = [one.error for one in found], [val[one.name].error for one in found]
    if len(found) < 3 or len(set(before)) < 2 or len(set(after)) < 2:
        return ""
    return f"; rank correlation {spearmanr(before, after).statistic:+.2f} of {len(found)}"
