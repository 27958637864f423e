"""Process 1 of a host or of the hosts' network: reaps orphans, and exits when its standard input is closed.

When process 1 exits, the kernel kills all other processes of its namespace. A test that crashes therefore leaves
nothing running.
"""

import os
import sys
import threading
import time


def end_with_input() -> None:
    """Exit, and thereby end the namespace, once the parent process has exited."""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Reap forever."""
    threading.Thread(target=end_with_input, daemon=True).start()
    print("ready", flush=True)
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
