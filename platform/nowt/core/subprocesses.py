"""Child processes that end with this process, however it ends, together with their own children."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PR_SET_PDEATHSIG = 1

GRACE_SECONDS = 10.0


def end_with_parent() -> None:
    """Have Linux send the child SIGTERM when this process ends, also by kill -9. Use it as ``preexec_fn``."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def terminate_at_exit(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Terminate, at the end of the block, the session that ``process`` leads: first with SIGTERM, then with SIGKILL."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
