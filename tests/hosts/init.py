"""Process 1 of a host, and of the world that the hosts are in: takes in orphans, and ends when its input does.

When process 1 ends, the kernel kills all others of its process namespace: a test that dies leaves nothing behind.
"""

import os
import sys
import threading
import time


def end_with_input() -> None:
    """End this process, and with it the namespace, once whoever started it is gone."""
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
