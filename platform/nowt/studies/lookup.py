"""Finds the studies, search spaces and recipes that the command line names, by entry point, file or module."""

from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nowt.config.run_config import RunConfig
from nowt.core.errors import ConfigError, did_you_mean
from nowt.core.plugins import call_factory, load_object
from nowt.studies.study import Study

if TYPE_CHECKING:
    from nowt.studies.search.space import SearchSpace


def find_study(spec: str) -> Study:
    """Return the study named ``spec``, or the one that ``FILE.py``, ``FILE.py:NAME`` or ``module:NAME`` returns."""
    study: Study = call_factory(spec, _find(spec, "nowt.studies", "study"), Study)
    return study


def find_space(spec: str) -> "SearchSpace":
    """Return the search space named ``spec``, or the one that function ``space`` of ``FILE.py`` returns."""
    from nowt.studies.search.space import SearchSpace

    space: SearchSpace = call_factory(spec, _find(spec, "nowt.spaces", "space"), SearchSpace)
    return space


def find_recipe(spec: str) -> Callable[..., RunConfig]:
    """Return the recipe named ``spec``: a built-in one, or the function ``FILE.py:NAME``, which takes a rule."""
    from nowt.config.recipes import RECIPES

    if spec in RECIPES:
        return RECIPES[spec]
    if ":" in spec or spec.endswith(".py"):
        return partial(call_factory, spec, load_object(spec, "recipe"), RunConfig)
    raise ConfigError(
        f"there is no recipe {spec!r}{did_you_mean(spec, RECIPES)}; there are: {', '.join(RECIPES)}, or FILE.py:NAME"
    )


def find_report(name: str = "report") -> Callable[..., Any]:
    """Return the function that ``nowt report`` calls."""
    report: Callable[..., Any] = _find(name, "nowt.reports", "report")
    return report


def find_frames() -> Callable[[Path], str] | None:
    """Return the function that rebuilds the frames of a store; None if nowt is installed without its analysis."""
    points = {point.name: point for point in entry_points(group="nowt.frames")}
    rebuild: Callable[[Path], str] | None = points["frames"].load() if "frames" in points else None
    return rebuild


def _find(spec: str, group: str, attribute: str) -> Any:
    if ":" in spec or spec.endswith(".py"):
        return load_object(spec, attribute)
    points = {point.name: point for point in entry_points(group=group)}
    if spec in points:
        return points[spec].load()
    kind = group.partition(".")[2]
    raise ConfigError(
        f"there is no {spec!r} among {kind}{_other_command(spec) or did_you_mean(spec, points)}; available: "
        f"{', '.join(sorted(points))}, or FILE.py"
    )


def _other_command(spec: str) -> str:
    """Return the command that takes the name, if it names another kind of object."""
    for group, command in (("nowt.studies", "ablate"), ("nowt.spaces", "search")):
        if spec in entry_points(group=group).names:
            return f" (use: nowt {command} {spec})"
    return ""
