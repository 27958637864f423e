"""Tells network file systems from local ones: they have no shared memory, and some have no locks; and names of files
that are not UTF-8 from others."""

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

# of Linux; ``fuse`` and ``fuse.X`` may be local, but nowt cannot know that
NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|lustre|fuse(\..+)?|9p|ceph|gpfs|afs|glusterfs|beegfs|ocfs2|gfs2|virtiofs|davfs|pvfs2|orangefs"
)


def network_file_system(path: Path) -> str:
    """Return the type of the network file system that holds ``path``, which need not exist, such as ``nfs4``; empty if
    it is on a local one, or where Linux has no table of mounts."""
    place, kind = path.resolve(), ""
    longest = -1
    for folder, found in _mounts():
        if len(folder.parts) >= longest and place.is_relative_to(folder):  # a later mount hides an earlier one
            longest, kind = len(folder.parts), found
    return kind if NETWORK.fullmatch(kind) else ""


def _mounts() -> list[tuple[Path, str]]:
    """Return the folder and the type of each mounted file system, in the order in which they were mounted."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    found = []
    for mount, _, source in (line.partition(" - ") for line in lines):
        found.append((Path(_unescaped(mount.split(" ")[4])), source.split(" ")[0]))
    return found


def _unescaped(name: str) -> str:
    """Return the name with spaces, tabs, line feeds and backslashes in place of their octal codes."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), name)


def encoding_problem(path: str) -> str:
    """Return one line if the absolute ``path``, or what it links to, is not UTF-8; otherwise an empty text.

    Logs, databases and URLs that name a store or a custom file are UTF-8.
    """
    for whole in (os.path.abspath(path), os.path.realpath(path)):
        try:
            whole.encode()
        except UnicodeEncodeError:
            return f"the path {whole!r} is not UTF-8: rename it, or give another one"
    return ""
