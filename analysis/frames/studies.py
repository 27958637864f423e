"""Finds a study or search in a store, by name or key."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.frames.searches import SearchPlan, search_plan
from nowt.core.errors import UserError
from nowt.store.layout import Store
from nowt.store.study_file import StudyFile, find_study_files, read_study_file
from nowt.studies.claim import Claim


@dataclass(frozen=True)
class StudyPlan:
    """An ablation, as its study file records it."""

    name: str
    key: str
    question: str
    reference: str  # the cell that the others are compared with
    created: int  # milliseconds since 1970
    cells: dict[str, dict[str, Any]]  # the config of each cell as JSON data, in the study's order
    runs: tuple[tuple[str, str, int], ...]  # run key, cell, seed: one per cell and seed
    replaced: int  # number of earlier runs, replaced by runs with other data or another version of the code
    claim: Claim | None = None  # stated before the runs
    claimed: int | None = None  # when it was recorded, milliseconds since 1970; None if unknown
    claimed_seeds: tuple[int, ...] | None = None  # planned then; None if unknown
    search: str | None = None  # key of the search whose best settings the cells are


def find_study(store: Path, wanted: str | None = None) -> StudyPlan | SearchPlan:
    """Find a study or search.

    Args:
        store: Folder of the store.
        wanted: Name or key. A name selects the newest study of that name; None selects the newest study of all.

    Returns:
        A ``StudyPlan`` for an ablation, a ``SearchPlan`` for a search.

    Raises:
        ValueError: The store does not exist or holds no study, or no study has this name or key. The message names the
            nearest one.

    Example:
        >>> find_study(Path("runs"), "rules_on_digits").key  # doctest: +SKIP
    """
    return read_plan(Store(store).study_file(find_study_files(store, wanted)[-1].key))


def read_plan(path: Path) -> StudyPlan | SearchPlan:
    """Read one study file. Raises ValueError if it is not one."""
    return plan_of(read_study_file(path), path)


def plan_of(study_file: StudyFile, path: Path) -> StudyPlan | SearchPlan:
    """Return what the study file at ``path`` describes. Raises ValueError if a part of it is missing or invalid."""
    try:
        return search_plan(study_file) if study_file.is_search else _study_plan(study_file)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not a study file that this version of nowt can read ({error} is missing or invalid)"
        ) from None


def _study_plan(study_file: StudyFile) -> StudyPlan:
    latest = {(run.cell, run.seed): run.key for run in study_file.runs}
    return StudyPlan(
        name=study_file.name,
        key=study_file.key,
        question=study_file.question,
        reference=study_file.reference,
        created=study_file.created,
        cells=study_file.labelled_configs,
        runs=tuple((key, cell, seed) for (cell, seed), key in latest.items()),
        replaced=len(study_file.runs) - len(latest),
        claim=None if study_file.claim is None else Claim.from_json(study_file.claim),
        claimed=study_file.claimed,
        claimed_seeds=None if study_file.claimed_seeds is None else tuple(study_file.claimed_seeds),
        search=study_file.search,
    )
