"""Work on many image files in threads, with a progress bar; without a terminal, with one line."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nowt.core.formatting import counted

S = TypeVar("S")
T = TypeVar("T")

CHUNK = 256  # files that are handed to the threads at a time

SILENT_SECONDS = 2.0  # after which a line says what is being done, where no progress bar can be shown


def map_in_threads(work: Callable[[S], T], items: Sequence[S], threads: int, title: str) -> Iterator[T]:
    """Apply ``work`` to every item, in order. Reading, hashing and decoding an image release the GIL."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import track

    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    quiet = not sys.stderr.isatty()
    begin, silent = time.monotonic(), quiet
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for chunk in track(chunks, escape(title), console=Console(stderr=True), transient=True, disable=quiet):
            yield from pool.map(work, chunk)
            if silent and time.monotonic() - begin >= SILENT_SECONDS:
                print(f"nowt: {title}: {counted(len(items), 'file')} ...", file=sys.stderr, flush=True)
                silent = False
