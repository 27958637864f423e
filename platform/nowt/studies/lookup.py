"""Finds the studies, search spaces and recipes that the command line names, by entry point, file or module.

Each ``find_*`` has a ``check_*``, which raises the same ConfigError for an unknown name or a missing file. It imports
neither torch nor what the name stands for, so that a misspelt name is reported at once.
"""

import shlex
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nowt.config.recipe_names import RECIPE_NAMES
from nowt.core.errors import ConfigError, did_you_mean
from nowt.core.plugins import call_factory, existing_spec, load_object, module_of

if TYPE_CHECKING:
    from nowt.config.run_config import RunConfig
    from nowt.studies.search.space import SearchSpace
    from nowt.studies.study import Study


def check_study(spec: str) -> None:
    """Raise ConfigError if there is no such study."""
    _check(spec, "nowt.studies")


def find_study(spec: str) -> "Study":
    """Return the study named ``spec``, or the one that ``FILE.py``, ``FILE.py:NAME`` or ``module:NAME`` returns."""
    check_study(spec)
    from nowt.studies.study import Study

    study: Study = call_factory(spec, _find(spec, "nowt.studies", "study"), Study)
    return study


def check_space(spec: str) -> None:
    """Raise ConfigError if there is no such search space."""
    _check(spec, "nowt.spaces")


def find_space(spec: str) -> "SearchSpace":
    """Return the search space named ``spec``, or the one that function ``space`` of ``FILE.py`` returns."""
    check_space(spec)
    from nowt.studies.search.space import SearchSpace

    space: SearchSpace = call_factory(spec, _find(spec, "nowt.spaces", "space"), SearchSpace)
    return space


def is_space(spec: str) -> bool:
    """Return whether ``spec`` names a search space and no study. Raises ConfigError for a file that cannot be
    imported."""
    if not _is_place(spec):
        names = {group: entry_points(group=group).names for group in ("nowt.studies", "nowt.spaces")}
        return spec in names["nowt.spaces"] and spec not in names["nowt.studies"]
    if not spec.endswith(".py"):
        return spec.rpartition(":")[2] == "space"
    module = module_of(existing_spec(spec))
    return hasattr(module, "space") and not hasattr(module, "study")


def check_recipe(spec: str) -> None:
    """Raise ConfigError if there is no such recipe."""
    if _is_place(spec):
        existing_spec(spec)
    elif spec not in RECIPE_NAMES:
        study = f", but a study: nowt ablate {spec}" if spec in entry_points(group="nowt.studies").names else ""
        near = study or _data_folder(spec, "RECIPE") or did_you_mean(spec, RECIPE_NAMES)
        names = ", ".join(RECIPE_NAMES)
        raise ConfigError(f"there is no recipe {spec!r}{near}; there are: {names}, or FILE.py:NAME")


def find_recipe(spec: str) -> "Callable[..., RunConfig]":
    """Return the recipe named ``spec``: a built-in one, or the function ``FILE.py:NAME``, which takes a rule."""
    check_recipe(spec)
    from nowt.config.recipes import RECIPES
    from nowt.config.run_config import RunConfig

    if spec in RECIPES:
        return RECIPES[spec]
    return partial(call_factory, spec, load_object(spec, "recipe"), RunConfig)


def find_report(name: str = "report") -> Callable[..., Any]:
    """Return the function that ``nowt report`` calls."""
    report: Callable[..., Any] = _find(name, "nowt.reports", "report")
    return report


def find_frames() -> Callable[[Path], str] | None:
    """Return the function that rebuilds the frames of a store; None if nowt is installed without its analysis."""
    points = {point.name: point for point in entry_points(group="nowt.frames")}
    rebuild: Callable[[Path], str] | None = points["frames"].load() if "frames" in points else None
    return rebuild


def _is_place(spec: str) -> bool:
    """Return whether ``spec`` names a file or module."""
    return ":" in spec or spec.endswith(".py")


def _find(spec: str, group: str, attribute: str) -> Any:
    _check(spec, group)
    if _is_place(spec):
        return load_object(spec, attribute)
    return {point.name: point for point in entry_points(group=group)}[spec].load()


def _check(spec: str, group: str) -> None:
    """Raise ConfigError if ``spec`` is neither an entry point of the group nor a file that exists, nor a module."""
    if _is_place(spec):
        existing_spec(spec)
        return
    points = entry_points(group=group).names
    if spec in points:
        return
    kind = group.partition(".")[2]
    example = {"nowt.studies": "STUDY", "nowt.spaces": "SPACE"}.get(group, "")
    hint = _other_command(spec) or _data_folder(spec, example) or did_you_mean(spec, points)
    raise ConfigError(f"there is no {spec!r} among {kind}{hint}; available: {', '.join(sorted(points))}, or FILE.py")


def _data_folder(spec: str, argument: str) -> str:
    """Return how to give a folder of images, if ``spec`` is a path and not the name that ``argument`` stands for."""
    if "/" not in spec and not Path(spec).is_dir():
        return ""
    return f" (a folder of images is given with --data-dir: {argument} --data-dir {shlex.quote(spec)})"


def _other_command(spec: str) -> str:
    """Return the command that takes the name, if it names another kind of object."""
    for group, command in (("nowt.studies", "ablate"), ("nowt.spaces", "search")):
        if spec in entry_points(group=group).names:
            return f" (use: nowt {command} {spec})"
    return ""
