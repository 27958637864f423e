"""The runs that count in a study after a merge: refuses different images, and says which runs no longer count."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from nowt.core.errors import ConfigError
from nowt.core.formatting import counted
from nowt.store.layout import Store
from nowt.store.listed_runs import ListedRun, appended_runs, merged_runs
from nowt.store.study_file import StudyFile, read_definition
from nowt.store.sync.merge_studies import merged_study, start_of
from nowt.store.used_images import CountedRun, describe_images, runs_by_images


def check_images(other: Path, store: Path, keys: Collection[str], label: str) -> None:
    """Raise ConfigError if, in one of the studies ``keys``, runs that would count used different images.

    ``label`` is the name of ``other`` in messages.
    """
    for key in sorted(keys):
        study = merged_study(other, store, key)
        runs = list(_counted(study, other, store, label)) if study else []
        if study and (found := runs_by_images(runs)):
            raise ConfigError(
                f"study {key} would mix {describe_images(found, 'trial' if study.is_search else 'seed')}. Nothing was "
                f"merged. {_way_out(study, other, label)}"
            )


def _way_out(study: StudyFile, other: Path, label: str) -> str:
    if study.is_search:
        return "These are two different searches; keep their stores separate"
    again = (
        f"Run nowt ablate {study.name} again in the store with the other images, on the images to keep, and merge again"
    )
    if label.startswith("s3://"):  # the next backup would contain the study file again
        return again
    places = " and ".join(dict.fromkeys((label, str(other))))  # a pull has a copy, from which it deletes nothing
    return f"{again}; or move studies/{study.key}.json out of {places}, to merge without this study"


def _counted(study: StudyFile, other: Path, store: Path, label: str) -> Iterator[CountedRun]:
    for run in _counting(study, other, store):
        for folder, name in ((store, str(store)), (other, label)):
            if start := start_of(folder, run.key):
                number = run.seed if run.trial is None else run.trial
                yield CountedRun(run.cell, number, start, name)
                break


def _counting(study: StudyFile, other: Path, store: Path) -> Iterable[ListedRun]:
    if not study.is_search:
        return {(run.cell, run.seed): run for run in study.runs}.values()
    appended = [run for folder in (store, other) for run in appended_runs(Store(folder).study_runs(study.key))]
    return merged_runs(study.runs, appended)


def describe_superseded(other: Path, store: Path, keys: Collection[str], label: str) -> Iterator[str]:
    """Yield a line for each study of which this merge supersedes runs: those of a store in whose place runs of the
    other one count. Call it before anything is written."""
    for key in sorted(keys):
        study, path = merged_study(other, store, key), Store(store).study_file(key)
        if study is None or study.is_search or not path.exists():
            continue
        ours, theirs = read_definition(path), read_definition(Store(other).study_file(key))
        new = {run.key for run in theirs.runs} - {run.key for run in ours.runs}
        here = _superseded(ours, study, store)
        there = _superseded(theirs, study, other) & new
        for found, place, elsewhere in ((here, str(store), label), (there, label, str(store))):
            if found:
                verb = "does not count" if len(found) == 1 else "do not count"
                yield f"{counted(len(found), 'run')} of {key} in {place} {verb}: {elsewhere} has later ones"


def _superseded(before: StudyFile, after: StudyFile, store: Path) -> set[str]:
    """Return the runs with a log that counted before, and do not any more."""
    was, now = ({(run.cell, run.seed): run.key for run in study.runs} for study in (before, after))
    return {key for place, key in was.items() if key not in now.values() and Store(store).log(key).exists()}
