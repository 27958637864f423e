"""The runs that count as before a claim: those of the study, and of the search whose best settings it trains."""

from collections.abc import Iterator
from pathlib import Path

from analysis.frames.store.logs import Logs
from analysis.frames.studies import StudyPlan
from nowt.store.layout import Store
from nowt.store.study_file import StudyFile, read_study_file, read_study_files
from nowt.studies.claim import Claim


def search_of(store: Path, study: StudyPlan) -> StudyFile | None:
    """Return the search whose best settings the study trains; None if there is none, or if the store lacks it."""
    path = Store(store).study_file(study.search) if study.search else None
    return read_study_file(path) if path is not None and path.is_file() else None


def runs_of_search(store: Path, study: StudyPlan) -> Iterator[str]:
    """Yield the keys of the trials of the study's search, and of all runs of its best settings."""
    for file in read_study_files(store) if study.search else []:
        if study.search in (file.key, file.search):
            yield from (run.key for run in file.runs)


def runs_before_claim(store: Path, study: StudyPlan, logs: Logs) -> int | None:
    """Return the number of runs that had begun when the study's claim was recorded.

    In a study of the best settings of a search, these include the trials and the confirmation, and the claim may have
    been recorded with the search. None without a claim, or if its time or the search is unknown.
    """
    search = search_of(store, study)
    if study.claim is None or study.claimed is None or (study.search and search is None):
        return None
    stated = search is not None and search.claim is not None and Claim.from_json(search.claim) == study.claim
    earlier = search.claimed if search is not None and stated else None
    claimed = min(study.claimed, earlier or study.claimed)
    path = Store(store).study_file(study.key)
    listed = read_study_file(path).runs if path.is_file() else []  # those on earlier images, too
    keys = {*(key for key, _, _ in study.runs), *(run.key for run in listed), *runs_of_search(store, study)}
    begun = (logs.get(key).start_time for key in keys)
    return sum(time < claimed for time in begun if time)
