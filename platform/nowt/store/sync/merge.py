"""``nowt merge``: merges a store into another by run key, study key and trial number.

Contradictions are found before anything is written. Files are written atomically, and only those that are missing. So
merging again changes nothing, and merging after a crash completes the merge.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from nowt.core.errors import Echo, require
from nowt.core.formatting import counted
from nowt.store.existing import is_store, nearest_store
from nowt.store.files import write_atomically
from nowt.store.layout import Store
from nowt.store.links import check_links
from nowt.store.locks import study_lock
from nowt.store.sync.foreign import check_foreign_store
from nowt.store.sync.merge_images import check_images, describe_superseded
from nowt.store.sync.merge_logs import IncomingLog, copy_checkpoints, incoming_logs, write_logs
from nowt.store.sync.merge_studies import incoming_study_files, study_keys, write_study_files


@dataclass(frozen=True)
class Databases:
    """How a merge updates a store's databases, since ``nowt.store`` imports neither Optuna nor MLflow."""

    count_new_trials: Callable[[Path, Path], int]  # (other, store): the number of trials to copy
    merge_trials: Callable[[Path, Path], None]  # (other, store): copy them
    refresh: Callable[[Path, bool], None]  # (store, afresh): update MLflow; afresh: a log was replaced


def merge(other: Path, store: Path, echo: Echo, databases: Databases, label: str = "") -> None:
    """Copy the runs and studies of ``other`` to ``store``, then update its databases, while its studies are locked.

    ``label`` is the name of ``other`` in messages (default: its path).

    Both stores are compared while the studies are locked: what a study writes before is part of the comparison, and
    afterwards it writes nothing. Raises ConfigError, with nothing written, if the stores contradict each other, if the
    runs that would count in a study used different images, if ``other`` has a file with a name that nowt does not write
    or a link, or if one of the studies is being run, ValueError for an
    unreadable file, OSError if the store is not writable.
    """
    label = label or str(other)
    near = "" if is_store(other) else nearest_store(other)
    require(is_store(other), f"there is no store at {label}{near}: name the folder that nowt ablate wrote")
    require(other.resolve() != store.resolve(), f"{label} is the store itself: name the other one")
    check_links(store)
    check_foreign_store(other, label)
    keys = study_keys(other, store)
    with ExitStack() as stack:
        for key in keys:
            stack.enter_context(study_lock(store, key))
        check_images(other, store, keys, label)
        logs, study_files, trials = (
            incoming_logs(other, store),
            incoming_study_files(other, store, keys),
            databases.count_new_trials(other, store),
        )
        superseded = list(describe_superseded(other, store, keys, label))
        certificates = _take_new(Store(other).certificates, Store(store).certificates)
        logs = write_logs(logs)  # first, since they hold everything that was measured
        _print_logs(logs, label, echo)
        afresh = any(not log.new and not log.grows for log in logs)
        checkpoints = copy_checkpoints(other, store)
        if trials:
            databases.merge_trials(other, store)
        write_study_files(study_files)
        if others := _counted(study_files, checkpoints, trials, certificates):
            echo(f"also copied {others}")
        for line in superseded:
            echo(line)
        databases.refresh(store, afresh)


def _print_logs(logs: Sequence[IncomingLog], label: str, echo: Echo) -> None:
    new = [log.target.stem for log in logs if log.new]
    longer = [log.target.stem for log in logs if not log.new]
    grown = f"{len(longer)} with more epochs or a result{_first(longer)}"
    echo(f"{label}: {counted(len(new), 'new run')}{_first(new)}, {grown}")


def _first(keys: Sequence[str], limit: int = 3) -> str:
    return f" ({', '.join(keys[:limit])}{', ...' if len(keys) > limit else ''})" if keys else ""


def _counted(study_files: Iterable[Path], checkpoints: Sequence[str], trials: int, certificates: int) -> str:
    studies = len({path.name.partition(".")[0] for path in study_files})
    copied = (
        (studies, "study file", ""),
        (trials, "trial", ""),
        (len(checkpoints), "unfinished run's checkpoint", "unfinished runs' checkpoints"),
        (certificates, "certificate", ""),
    )
    return ", ".join(counted(*each) for each in copied if each[0])


def _take_new(source: Path, target: Path) -> int:
    new = [path for path in sorted(source.glob("*.json")) if not (target / path.name).exists()]
    for path in new:
        write_atomically(target / path.name, path.read_bytes(), durable=True)
    return len(new)
