"""Provenance: the commit of nowt or of another checkout, and the versions of packages."""

import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@cache
def nowt_checkout() -> dict[str, Any]:
    """Return the commit of nowt's checkout, and whether it has changes; empty if nowt was installed without one."""
    return checkout_of(Path(__file__))


def checkout_of(file: Path) -> dict[str, Any]:
    """Return the commit of the checkout that tracks ``file``, and whether it has changes; empty if none tracks the
    file."""
    try:
        _git(file, "ls-files", "--error-unmatch", file.name)
        commit = _git(file, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(file, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": "", "dirty": False}


def _git(file: Path, *args: str) -> str:
    command = ["git", "-C", str(file.parent), *args]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and ``packages``; ``not installed`` for a missing one."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
