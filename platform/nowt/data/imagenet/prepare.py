"""All classes of a copy, by threads: Pillow decodes outside Python's lock, and a thread holds one picture at a time."""

import fcntl
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nowt.core.errors import DataError
from nowt.data import manifest
from nowt.data.imagenet import checks, labels, source
from nowt.data.imagenet.class_folder import WORK, Piece, Record
from nowt.data.imagenet.source import Unit

SHOWN = 20  # problems that are printed; all are in the file

PROBLEMS = "problems.txt"


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    source: Path
    target: Path
    copy: bool = False  # files of their own, not hard links to the source's
    partial: bool = False  # a copy that is not whole is taken as it is
    jobs: int = 1  # threads


def prepare(asked: Asked, say: Callable[[str], None]) -> bool:
    """Lay the copy out in ``asked.target`` and list it; whether it can be used.

    Raises DataError where source or target cannot be used, KeyboardInterrupt where the user stops it.
    """
    _check(asked)
    units = source.units(asked.source)
    expected = labels.of_training(asked.source)
    with _held(asked.target):
        (asked.target / manifest.NAME).unlink(missing_ok=True)
        records = _all(units, asked)
        kept = sum(record.kept for record in records)
        if kept:
            say(f"{kept} of {len(units)} classes and parts were done before")
        return _close(asked, records, checks.problems(records, expected), say)


def _check(asked: Asked) -> None:
    """Raise DataError where one of the folders cannot be what it is given as."""
    if not asked.source.is_dir():
        raise DataError(f"{asked.source} is no folder: SRC is the one with the ILSVRC2012 pictures or their tar files")
    if asked.target.exists() and not asked.target.is_dir():
        raise DataError(f"{asked.target} is a file: DST is a new folder, or one that this command began")
    inner, outer = asked.target.resolve(), asked.source.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise DataError(f"{asked.target} and {asked.source} lie in each other: SRC is never changed, give another DST")
    if asked.target.is_dir() and any(asked.target.iterdir()) and not (asked.target / WORK).is_dir():
        raise DataError(f"{asked.target} holds other files: DST is a new folder, or one that this command began")


@contextmanager
def _held(target: Path) -> Iterator[None]:
    """One command at a time works on a target. Raises DataError where another does."""
    (target / WORK).mkdir(parents=True, exist_ok=True)
    with (target / WORK / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"another command is preparing {target}: wait for it, or stop it") from None
        for left in (target / WORK).rglob("*.tmp"):
            left.unlink()
        yield


def _all(units: Sequence[Unit], asked: Asked) -> list[Record]:
    stop = threading.Event()
    piece = Piece(asked.target, asked.copy, stop)
    with ThreadPoolExecutor(asked.jobs) as pool:
        futures = [pool.submit(piece, unit) for unit in units]
        try:
            _watch(futures)
        finally:
            stop.set()  # nothing is left to do, or nothing more is to be begun
            pool.shutdown(wait=True, cancel_futures=True)
    return [future.result() for future in futures]


def _watch(futures: Sequence["Future[Record]"]) -> None:
    """Show how far it is until all are done. Raises what a class raised."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=len(futures))
        waiting = set(futures)
        pictures = 0
        while waiting:
            done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_EXCEPTION)
            pictures += sum(len(future.result().pictures) for future in done)
            bar.update(task, completed=len(futures) - len(waiting), description=f"{pictures:,} pictures, classes:")


def _close(asked: Asked, records: Sequence[Record], problems: list[str], say: Callable[[str], None]) -> bool:
    listed = {part: _listed(records, part) for part in ("train", "val")}
    _write_problems(asked.target, problems)
    for line in checks.oddities(records):
        say(line)
    for line in problems[:SHOWN]:
        say(line)
    if len(problems) > SHOWN:
        say(f"and {len(problems) - SHOWN} more: all are in {asked.target / PROBLEMS}")
    if problems and not asked.partial:
        say(f"{asked.source} is not as published: mend it and give the same command again, or take it with --partial")
        return False
    os.sync()  # the list must not outlive a power cut that its pictures did not
    path = manifest.write(asked.target, listed["train"], listed["val"], partial=bool(problems))
    count = len({record.wnid for record in records})
    say(f"{path}: {len(listed['train']):,} training and {len(listed['val']):,} test pictures of {count:,} classes")
    return True


def _write_problems(target: Path, problems: list[str]) -> None:
    path = target / PROBLEMS
    if problems:
        path.write_text("\n".join(problems) + "\n")
    else:
        path.unlink(missing_ok=True)


def _listed(records: Sequence[Record], part: str) -> manifest.Listed:
    return [(f"{part}/{r.wnid}/{name}", size) for r in records if r.part == part for name, size in r.pictures]
