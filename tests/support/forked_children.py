"""Children that a test forks, and that never return to pytest."""

import os
from collections.abc import Callable

RETURNED = 99  # exit code of a child whose work ended normally


def exit_code_of_child(work: Callable[[], object]) -> int:
    """Fork a child that does the work. Return its exit code: ``RETURNED``, 98 after an exception, or its own."""
    if (child := os.fork()) == 0:
        code = 98
        try:
            work()
            code = RETURNED
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
