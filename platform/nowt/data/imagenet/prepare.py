"""Prepares all classes of a copy of ImageNet or Tiny ImageNet in threads.

Pillow releases the GIL while it decodes, and each thread holds one image at a time.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nowt.core.errors import DataError, Echo, naming
from nowt.core.formatting import counted
from nowt.data import manifest
from nowt.data.class_folders import some
from nowt.data.duplicates import Part, describe_duplicates
from nowt.data.imagenet import checks, labels, published, tiny_imagenet
from nowt.data.imagenet.class_folder import REMOVED, WORK, ClassPreparer, ClassRecord
from nowt.data.imagenet.published import Counts
from nowt.data.imagenet.source import ClassSource, class_sources
from nowt.data.images import DIGEST_BYTES
from nowt.store.locks import describe_holder, lock_file
from nowt.store.temporary_files import remove_leftovers

PRINTED = 20  # problems that are printed; the file lists all of them

PROBLEMS = "problems.txt"


@dataclass(frozen=True)
class Edition:
    """A data set that can be prepared: how to read a copy of it, and what is published about it."""

    expected_source: str  # what SRC must be
    class_sources: Callable[[Path], list[ClassSource]]
    listed_classes: Callable[[Path], Mapping[str, int | None]]  # in the copy's own lists, with their training images
    counts: Counts
    notes: tuple[str, ...] = ()  # printed at the end
    suffix: str = ""  # of a file that SRC may be


EDITIONS = {
    "imagenet": Edition(
        expected_source="a folder with the ILSVRC2012 images or their tar files",
        class_sources=class_sources,
        listed_classes=labels.training_counts,
        counts=published.ILSVRC2012,
    ),
    "tiny-imagenet": Edition(
        expected_source="tiny-imagenet-200.zip, or a folder that contains it or its content",
        class_sources=tiny_imagenet.class_sources,
        listed_classes=tiny_imagenet.listed_classes,
        counts=published.TINY_IMAGENET,
        notes=("the published test images have no labels: they are left out, and val is the test split",),
        suffix=".zip",
    ),
}


@dataclass(frozen=True)
class PrepareOptions:
    """The arguments of ``nowt data prepare``."""

    source: Path
    target: Path
    copy: bool = False  # copy the images instead of making hard links to the source's
    partial: bool = False  # accept an incomplete copy
    jobs: int = 1  # threads
    name: str = "imagenet"  # of the data set

    @property
    def edition(self) -> Edition:
        """The data set."""
        return EDITIONS[self.name]


def prepare(options: PrepareOptions, echo: Echo) -> bool:
    """Arrange the copy in ``options.target`` and write its manifest; return whether it can be used.

    Raises DataError if source or target cannot be used, KeyboardInterrupt if the user stops it.
    """
    _check(options)
    edition = options.edition
    sources = edition.class_sources(options.source)
    expected = edition.listed_classes(options.source)
    with _locked(options.target):
        manifest.remove(options.target)
        records = _prepare_classes(sources, options)
        kept = sum(record.kept for record in records)
        if kept:
            echo(f"{kept} of {len(sources)} class folders were already complete")
        _report_moved(options.target, [name for record in records if not record.kept for name in record.moved], echo)
        return _finish(options, records, checks.problems(records, expected, edition.counts), echo)


def _check(options: PrepareOptions) -> None:
    """Raise DataError if source or target cannot be used."""
    source, target = options.source, options.target
    packed = source.is_file() and options.edition.suffix and source.name.lower().endswith(options.edition.suffix)
    if not source.is_dir() and not packed:
        raise DataError(f"{source} is not {options.edition.expected_source}")
    if target.exists() and not target.is_dir():
        raise DataError(f"{target} is a file: DST must be a new folder, or one that this command created")
    inner, outer = target.resolve(), source.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise DataError(f"{target} and {source} must not contain each other: SRC is never modified, use another DST")
    if target.is_dir() and any(target.iterdir()) and not (target / WORK).is_dir():
        raise DataError(f"{target} contains other files: DST must be a new folder, or one that this command created")


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the lock of a target. Raises DataError if another command holds it."""
    (target / WORK).mkdir(parents=True, exist_ok=True)
    with (target / WORK / "lock").open("w") as lock:
        if not lock_file(lock):
            holder = describe_holder(target / WORK / "lock")
            raise DataError(f"{target} is being prepared by {holder}: wait for it, or stop it")
        remove_leftovers(target / WORK, "**/*.tmp")
        yield


def _prepare_classes(sources: Sequence[ClassSource], options: PrepareOptions) -> list[ClassRecord]:
    stop = threading.Event()
    prepare_class = ClassPreparer(options.target, options.copy, stop)
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(prepare_class, source) for source in sources]
        try:
            _show_progress(futures)
        finally:
            stop.set()  # all classes are done, or no further one may begin
            pool.shutdown(wait=True, cancel_futures=True)
    return [future.result() for future in futures]


def _show_progress(futures: Sequence["Future[ClassRecord]"]) -> None:
    """Show a progress bar until all classes are done. Raises the first exception of a class."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=len(futures))
        waiting = set(futures)
        images = 0
        while waiting:
            done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_EXCEPTION)
            images += sum(len(future.result().images) for future in done)
            description = f"{counted(images, 'image')}, class folders:"
            bar.update(task, completed=len(futures) - len(waiting), description=description)


def _report_moved(target: Path, moved: Sequence[str], echo: Echo) -> None:
    if moved:
        verb = "is not in SRC was" if len(moved) == 1 else "are not in SRC were"
        echo(f"{target}: {counted(len(moved), 'image')} that {verb} moved to {target / REMOVED}: {some(moved)}")


def _finish(options: PrepareOptions, records: Sequence[ClassRecord], problems: list[str], echo: Echo) -> bool:
    """Print the findings and write the manifest; return whether the copy can be used."""
    _write_problems(options.target, problems)
    for line in [*checks.unusual_images(records), *options.edition.notes, *problems[:PRINTED]]:
        echo(line)
    if len(problems) > PRINTED:
        echo(f"and {len(problems) - PRINTED} more; {options.target / PROBLEMS} lists all of them")
    if problems and not options.partial:
        echo(
            f"{options.source} differs from the published data set: repair it and run the same command again, "
            "or accept it with --partial"
        )
        return False
    os.sync()  # so that after a power failure no manifest lists images that were lost
    train, val = (_entries(records, part) for part in ("train", "val"))
    path = manifest.write(options.target, train, val, partial=bool(problems))
    classes = len({record.wnid for record in records})
    if duplicates := describe_duplicates([_part("train", train), _part("test", val)]):
        echo(duplicates)
    echo(
        f"{path}: {len(train):,} training and {counted(len(val), 'test image')} "
        f"of {counted(classes, 'class', 'classes')}"
    )
    return True


def _part(split: str, entries: manifest.Entries) -> Part:
    digests = np.frombuffer(bytes.fromhex("".join(digest for _, _, digest in entries)), np.uint8)
    names = [name for name, _, _ in entries]
    return Part(split, names, digests.reshape(-1, DIGEST_BYTES), [name.split("/")[1] for name in names])


def _write_problems(target: Path, problems: list[str]) -> None:
    path = target / PROBLEMS
    if problems:
        with naming(path):
            path.write_text("\n".join(problems) + "\n", encoding="utf-8")
    else:
        path.unlink(missing_ok=True)


def _entries(records: Sequence[ClassRecord], part: str) -> manifest.Entries:
    return [
        (f"{part}/{r.wnid}/{name}", size, digest) for r in records if r.part == part for name, size, digest in r.images
    ]
