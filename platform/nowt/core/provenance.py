"""Which commit of nowt this is, where it runs from a checkout."""

import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@cache
def git() -> dict[str, Any]:
    """Commit and dirtiness of nowt's own checkout; empty where it was installed without one."""
    return checkout_of(Path(__file__))


def checkout_of(file: Path) -> dict[str, Any]:
    """Commit and dirtiness of the checkout that ``file`` belongs to, and not one that it only lies in, ignored."""
    try:
        _git(file, "ls-files", "--error-unmatch", file.name)
        commit = _git(file, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(file, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": "", "dirty": False}


def _git(file: Path, *words: str) -> str:
    command = ["git", "-C", str(file.parent), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Python's version and those of ``packages``, or ``not installed``."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
