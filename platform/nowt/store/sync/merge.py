"""``nowt merge``: two stores joined by run key, study key and trial number.

Everything that contradicts is found before anything is written. Each file is written whole or not at all, and only what
is missing is: merged again, nothing happens; merged after a crash, the rest does.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from nowt.core.errors import require
from nowt.store.files import write_atomically
from nowt.store.layout import Store
from nowt.store.locks import study_lock
from nowt.store.study_file import read_study_files
from nowt.store.sync.merge_logs import Coming, coming_logs, take_checkpoints, take_logs
from nowt.store.sync.merge_studies import coming_study_files, take_study_files

Say = Callable[[str], None]

PARTS = ("logs", "studies", "optuna.db")


@dataclass(frozen=True)
class Databases:
    """What merging does to a store's databases; the store itself imports neither Optuna nor MLflow."""

    check_trials: Callable[[Path, Path], int]  # (other, store): the number of trials that would come
    take_trials: Callable[[Path, Path], None]  # (other, store): write them
    refresh: Callable[[Path, bool], None]  # (store, anew): bring MLflow up to date; anew: a log was replaced


def is_store(folder: Path) -> bool:
    """Whether runs or studies were kept in the folder."""
    return any((folder / part).exists() for part in PARTS)


def merge(other: Path, store: Path, say: Say, databases: Databases, called: str = "") -> None:
    """Bring the runs and studies of ``other`` into ``store``, then refresh its databases, still inside the locks.

    ``called`` is the name of ``other`` in messages (default: its path).

    Raises ConfigError, with nothing written, where the two contradict each other or one of the studies is being run;
    ValueError for a file that cannot be read; OSError where the store cannot be written.
    """
    called = called or str(other)
    require(is_store(other), f"there is no store at {called}: name the folder that nowt ablate wrote")
    require(other.resolve() != store.resolve(), f"{called} is the store itself: name the other one")
    logs, study_files, trials = (
        coming_logs(other, store),
        coming_study_files(other, store),
        databases.check_trials(other, store),
    )
    with ExitStack() as stack:
        for key in sorted({study_file.key for folder in (other, store) for study_file in read_study_files(folder)}):
            stack.enter_context(study_lock(store, key))
        afresh = any(not log.new and not log.grows for log in logs)
        _say_logs(logs, called, say)
        certificates = _take_new(Store(other).certificates, Store(store).certificates)
        take_logs(logs)  # a log says all that was measured; a checkpoint that is further says it again
        checkpoints = take_checkpoints(other, store)
        if trials:
            databases.take_trials(other, store)
        take_study_files(study_files)
        if beside := _counted(study_files, checkpoints, trials, certificates):
            say(f"with {beside}")
        databases.refresh(store, afresh)


def _say_logs(logs: Sequence[Coming], called: str, say: Say) -> None:
    new = [log.target.stem for log in logs if log.new]
    longer = [log.target.stem for log in logs if not log.new]
    runs = "run that was" if len(new) == 1 else "runs that were"
    say(f"{called}: {len(new)} {runs} not here{_first(new)}, {len(longer)} that got further{_first(longer)}")


def _first(keys: Sequence[str], most: int = 3) -> str:
    return f" ({', '.join(keys[:most])}{', ...' if len(keys) > most else ''})" if keys else ""


def _counted(study_files: Iterable[Path], checkpoints: Sequence[str], trials: int, certificates: int) -> str:
    studies = len({path.name.partition(".")[0] for path in study_files})
    counts = {
        "study file" if studies == 1 else "studies' study files": studies,
        "trial" if trials == 1 else "trials": trials,
        "unfinished run's checkpoint" if len(checkpoints) == 1 else "unfinished runs' checkpoints": len(checkpoints),
        "certificate" if certificates == 1 else "certificates": certificates,
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _take_new(source: Path, target: Path) -> int:
    new = [path for path in sorted(source.glob("*.json")) if not (target / path.name).exists()]
    for path in new:
        write_atomically(target / path.name, path.read_bytes(), durable=True)
    return len(new)
