"""A process that ends with ours, however ours ends, and takes its own children with it."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PR_SET_PDEATHSIG = 1

GRACE_SECONDS = 10.0


def end_with_us() -> None:
    """In the new process, before its program starts: have Linux send it SIGTERM when ours is gone, by kill -9 too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def ended_together(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """At the end of the block the whole session that ``process`` leads is gone: asked first, then killed."""
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
