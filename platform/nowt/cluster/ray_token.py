"""Ray's token, which gives full control of the cluster. Its file has mode 0600, and no file of nowt contains it."""

import os
import secrets
from pathlib import Path

from nowt.cluster.steps import Step

BYTES = 32  # as in `ray get-auth-token --generate`


def token_path() -> Path:
    """Return where Ray looks for the token, on this machine and on every node."""
    return Path.home() / ".ray" / "auth_token"


def token_steps() -> list[Step]:
    """Return the steps that create the missing token and let only its owner read it."""
    path = token_path()
    if not path.exists():
        return [Step(f"create Ray's token, {path} (0600)", lambda: write_secret(path, secrets.token_hex(BYTES)))]
    return restrict_steps(path)


def restrict_steps(path: Path) -> list[Step]:
    """Return the steps that let only its owner read ``path``."""
    private = path.stat().st_mode & 0o077 == 0
    return [] if private else [Step(f"make {path} private (chmod 600)", lambda: path.chmod(0o600))]


def readable_by_others(path: Path) -> bool:
    """Return whether other users can read ``path``.

    Ray creates the file with default permissions; only a private home folder protects it.
    """
    reachable = all(folder.stat().st_mode & 0o011 for folder in path.parents)
    return reachable and bool(path.stat().st_mode & 0o044)


def write_secret(path: Path, text: str) -> None:
    """Create a file that is private from the start. Raises FileExistsError if it exists."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
