"""What is wrong with this installation, in plain words."""

import importlib.util
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from nowt.store import existing, problem_of

ROOM = 2e9  # bytes: a small study's checkpoints, Ray's own files and MLflow's database


def examine(store: Path) -> list[str]:
    """One line a problem: what is wrong and what to do; empty where all is well."""
    return [*_python(), *_packages(), *_shadow(), *_disk(store)]


def _python() -> list[str]:
    if sys.version_info[:2] in ((3, 11), (3, 12)):
        return []
    return [f"Python is {sys.version.split()[0]}; nowt was tested with 3.11: make the environment with that"]


def _packages() -> list[str]:
    problems = []
    for line in requires("nowt") or []:
        need = Requirement(line)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(need.name)
        except PackageNotFoundError:
            problems.append(f"{need.name} is not installed: pip install '{need}'")
            continue
        if not need.specifier.contains(found, prereleases=True):
            problems.append(f"{need.name} is {found}, tested is {need.specifier}: pip install '{need}'")
    return problems


def _shadow() -> list[str]:
    spec = importlib.util.find_spec("platform")
    if spec is None or spec.origin is None or "site-packages" in spec.origin or not spec.origin.endswith("platform.py"):
        return ["`import platform` does not give Python's own module: remove platform/__init__.py"]
    return []


def _disk(store: Path) -> list[str]:
    if problem := problem_of(store):
        return [f"the store {store} cannot be written ({problem}): give another folder as --store"]
    folder = existing(store.resolve())
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        return [f"{folder} has {free / 1e9:.1f} GB free: a study needs about {ROOM / 1e9:.0f} GB"]
    return []
