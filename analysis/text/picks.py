"""Sentences about the picks of a search of which a cell has none: its claim is not tested, its reference is another."""

from pathlib import Path

from analysis.frames.claim_record import search_of
from analysis.frames.studies import StudyPlan
from analysis.text.claim import claim_clause
from nowt.store.study_file import StudyFile
from nowt.studies.claim import Claim


def lacking_picks_in_words(store: Path, study: StudyPlan) -> list[str]:
    """Return a sentence if the search states a claim that its picks cannot test, and one if its reference has no pick;
    empty for other studies."""
    search = search_of(store, study)
    if search is None or study.name != f"{search.name}_picks":
        return []
    other = f"The reference of {search.name}, {search.reference}, has no pick: cells are compared with "
    lost = search.reference not in study.cells
    return [*_untested(search, study), *([f"{other}{study.reference}."] if lost else [])]


def _untested(search: StudyFile, study: StudyPlan) -> list[str]:
    if search.claim is None or study.claim is not None:
        return []
    claim = Claim.from_json(search.claim)
    lacking = [cell for cell in (search.reference, *claim.cells) if cell not in study.cells]
    why = f"no trial of {', '.join(lacking)} finished, so that there is no pick"
    clause = claim_clause(claim, search.reference)
    return [f"Claim of {search.name}: {clause}. Not tested: {why}."] if lacking else []
