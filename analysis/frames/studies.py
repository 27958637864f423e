"""Which studies and searches a store holds, and which of them is meant."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.frames.searches import SearchPlan, search_plan
from nowt.core.errors import nearest
from nowt.store.layout import Store
from nowt.store.study_file import StudyFile, read_study_file


@dataclass(frozen=True)
class StudyPlan:
    """A study as it was frozen in ``studies/KEY.json`` when it started."""

    name: str
    key: str
    question: str
    reference: str  # the cell that the others' gap is taken to
    created: int  # milliseconds since 1970
    cells: dict[str, dict[str, Any]]  # the config of each cell as plain JSON data, in the study's order
    runs: tuple[tuple[str, str, int], ...]  # run key, cell, seed: one for every cell and seed
    replaced: int  # runs left out, since the study ran them again with other data or another version of the code


def find_study(store: Path, wanted: str | None = None) -> StudyPlan | SearchPlan:
    """The study or search whose name or key is ``wanted``: the newest of that name, or the newest of all for None.

    Raises ValueError for a missing store, a store without studies, and an unknown study, naming the nearest.
    """
    if not store.is_dir():
        raise ValueError(
            f"there is no store at {store}: give the folder that `nowt ablate` or `nowt search` wrote (--store FOLDER)"
        )
    plans = sorted((read_plan(path) for path in Store(store).study_files()), key=lambda plan: plan.created)
    if not plans:
        raise ValueError(f"store {store} holds no study yet: start one with `nowt ablate STUDY` or `nowt search SPACE`")
    matching = [plan for plan in plans if wanted in (None, plan.name, plan.key)]
    if matching:
        return matching[-1]
    names = list(dict.fromkeys(plan.name for plan in plans))
    hint = nearest(str(wanted), names + [plan.key for plan in plans])
    raise ValueError(f"store {store} has no study {wanted!r}{hint}; it has: {', '.join(names)}")


def read_plan(path: Path) -> StudyPlan | SearchPlan:
    """The study or search of one study file. Raises ValueError for a file that is none."""
    try:
        study_file = read_study_file(path)
        return search_plan(study_file) if study_file.is_search else _study_plan(study_file)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no study that this nowt reads ({error} is missing or wrong)") from None


def _study_plan(study_file: StudyFile) -> StudyPlan:
    latest = {(run.cell, run.seed): run.key for run in study_file.runs}
    return StudyPlan(
        name=study_file.name,
        key=study_file.key,
        question=study_file.question,
        reference=study_file.reference,
        created=study_file.created,
        cells={cell["name"]: cell["config"] for cell in study_file.cells},
        runs=tuple((key, cell, seed) for (cell, seed), key in latest.items()),
        replaced=len(study_file.runs) - len(latest),
    )
