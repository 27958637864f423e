"""Returns free memory to the system."""

import ctypes


def return_free_memory() -> None:
    """Return to the system the memory that malloc holds but nothing uses.

    glibc keeps freed memory of up to 32 MB in pieces that a next run's tensors do not fit into, so a process that
    trains several runs would grow. With other C libraries, nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
