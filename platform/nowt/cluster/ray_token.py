"""Ray's token: whoever has it may do anything on the cluster, so it is made here, 0600, and lies in no file of ours."""

import os
import secrets
from pathlib import Path

from nowt.cluster.steps import Step

BYTES = 32  # as many as Ray's own `ray get-auth-token --generate`


def token_path() -> Path:
    """Where Ray looks for it, on this machine and on every node."""
    return Path.home() / ".ray" / "auth_token"


def token_steps() -> list[Step]:
    """What is to do until the token is there, readable by its owner alone."""
    path = token_path()
    if not path.exists():
        return [Step(f"make Ray's token, {path} (0600)", lambda: write_secret(path, secrets.token_hex(BYTES)))]
    return closing(path)


def closing(path: Path) -> list[Step]:
    """What is to do until only its owner can read ``path``."""
    closed = path.stat().st_mode & 0o077 == 0
    return [] if closed else [Step(f"take {path} from others (chmod 600)", lambda: path.chmod(0o600))]


def read_by_others(path: Path) -> bool:
    """Whether other users can read ``path``: Ray makes its token readable, mostly in a home that is not."""
    way = all(folder.stat().st_mode & 0o011 for folder in path.parents)
    return way and bool(path.stat().st_mode & 0o044)


def write_secret(path: Path, text: str) -> None:
    """Write a file that nobody else could ever read. Raises FileExistsError where there is one."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
