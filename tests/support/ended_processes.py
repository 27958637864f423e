"""A process that has ended, as one that was killed while it wrote a file or held a lock."""

import subprocess
import sys


def ended_process() -> int:
    """Return the id of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid
