"""Names of files and folders that are being written, and the removal of those that will never be complete.

Several processes, also on several hosts that share a file system, may write the same file. Each writes under a name of
its own, ``NAME.HOST-PROCESS-THREAD.tmp``, and renames the file when it is complete.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_native_id

from nowt.core.process_identity import ProcessIdentity, host_name

LONGEST_NAME = 150  # bytes; a file system accepts 255, of which host and process need their part

OLD_SECONDS = 24 * 3600.0  # no writer takes that long between two writes; the clocks of hosts differ by less


def temporary_path(path: Path) -> Path:
    """Return the name under which this thread writes ``path``, in the same folder."""
    name = path.name if len(os.fsencode(path.name)) <= LONGEST_NAME else path.name[:30]
    return path.with_name(f"{name}.{host_name()}-{os.getpid()}-{get_native_id()}.tmp")


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Create a folder beside ``path`` under a temporary name, and delete it at the end of the block.

    Folders that killed processes have left there are deleted, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, f"{path.name}.*.tmp")
    folder = temporary_path(path)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(folder: Path, pattern: str = "*.tmp*") -> None:
    """Delete the temporary files and folders in ``folder`` that nobody completes any more: those of this thread, of
    processes of this host that have ended, and those that have not changed for a day."""
    for path in folder.glob(pattern):
        if is_leftover(path):
            _remove(path)


def is_leftover(path: Path) -> bool:
    """Return whether no living process completes the temporary file or folder at ``path``."""
    if path.name.endswith(f".{host_name()}-{os.getpid()}-{get_native_id()}.tmp"):
        return True
    of_this_host = re.search(rf"\.{re.escape(host_name())}-(\d+)-\d+\.tmp$", path.name)
    if of_this_host and ProcessIdentity(int(of_this_host[1]), host_name()).has_ended:
        return True
    try:
        return time.time() - path.stat().st_mtime > OLD_SECONDS
    except FileNotFoundError:  # complete meanwhile, or removed by another process
        return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
