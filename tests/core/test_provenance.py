"""The recorded commit is that of the code."""

import subprocess
from pathlib import Path

import pytest

from nowt.core import provenance
from nowt.core.provenance import checkout_of


def git(folder: Path, *command: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(["git", "-C", str(folder), *who, *command], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_is_that_of_the_code_and_not_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path
    monkeypatch.chdir(here)
    git(here, "init", "-q")
    (here / ".gitignore").write_text("installed\n")
    (here / "code.py").touch()
    git(here, "add", ".")
    git(here, "commit", "-q", "-m", "one")
    (here / "installed").mkdir()
    (here / "installed" / "code.py").touch()
    commit = git(here, "rev-parse", "HEAD")
    assert checkout_of(here / "code.py") == {"commit": commit, "dirty": False}
    (here / "code.py").write_text("x = 1\n")
    assert checkout_of(here / "code.py") == {"commit": commit, "dirty": True}
    assert checkout_of(here / "installed" / "code.py") == {"commit": "", "dirty": False}
    assert provenance.nowt_checkout()["commit"] not in (commit, "")
