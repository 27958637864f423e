"""The runs that a study file lists, or that a search has appended beside it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nowt.core.errors import UserError
from nowt.store.json_types import BOOLEAN, COUNT, INTEGER, LINE, RUN, TEXT, Table, check_object
from nowt.store.jsonl import complete_lines, parse_line

RUN_TYPES: Table = {
    "key": RUN,
    "cell": LINE,
    "seed": INTEGER,
    "trial": COUNT,
    "stopped": COUNT,
    "reason": TEXT,
    "failed": BOOLEAN,
}

RUN_FIELDS = ("key", "cell", "seed")  # that every entry has

Identity = tuple[str, str, int, int]  # of a listed run: run key, cell, seed, trial


@dataclass(frozen=True)
class ListedRun:
    """One run of a study: an ablation's, or the run of a search's trial."""

    key: str
    cell: str
    seed: int
    trial: int | None = None  # the trial's number; None in an ablation
    stopped: int | None = None  # the epoch after which the search stopped the run
    reason: str | None = None  # why the search stopped it
    failed: bool | None = None  # True: the run failed here, and a later trial of its cell repeats it
    other: dict[str, Any] = field(default_factory=dict)  # fields that this version does not know

    @classmethod
    def from_json(cls, data: dict[str, Any], place: str = "") -> "ListedRun":
        """Return the entry that ``to_json`` wrote. Raises ValueError for other data, naming the field after
        ``place``."""
        check_object(data, RUN_TYPES, RUN_FIELDS, place)
        return cls(data["key"], data["cell"], data["seed"], **optional_fields(cls, data, {*RUN_FIELDS}))

    @property
    def identity(self) -> Identity:
        """What tells this entry from the others of its study."""
        return self.key, self.cell, self.seed, self.trial or 0

    def to_json(self) -> dict[str, Any]:
        """Return the entry as plain JSON data; fields that are None are omitted."""
        known = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "other"}
        return {name: value for name, value in known.items() if value is not None} | self.other


def optional_fields(kind: type[Any], data: dict[str, Any], given: set[str]) -> dict[str, Any]:
    """Return the arguments of ``kind`` for the fields of ``data`` that are not ``given``."""
    known = {f.name for f in fields(kind)} - {"other"}
    rest = {name: value for name, value in data.items() if name not in given}
    other = {name: value for name, value in rest.items() if name not in known}
    return {name: value for name, value in rest.items() if name in known} | {"other": other}


def appended_runs(path: Path) -> Iterator[ListedRun]:
    """Yield what each line of a file of appended runs records. Raises ValueError for an invalid line, naming it."""
    for number, line in enumerate(complete_lines(path) if path.exists() else [], 1):
        try:
            yield ListedRun.from_json(parse_line(line))
        except ValueError as error:
            raise UserError(f"{path}, line {number} lists no run ({error}): restore it from a copy") from None


def merged_runs(listed: Iterable[ListedRun], appended: Iterable[ListedRun] = ()) -> list[ListedRun]:
    """Return the runs, each once, with the last value of every field."""
    runs: dict[Identity, dict[str, Any]] = {}
    for run in listed:
        before = runs.pop(run.identity, {})  # of a cell and seed, the last run listed is the valid one
        runs[run.identity] = before | run.to_json()
    for run in appended:
        runs.setdefault(run.identity, {}).update(run.to_json())
    return list(map(ListedRun.from_json, runs.values()))


def with_planned_runs(listed: Sequence[ListedRun], planned: Sequence[ListedRun]) -> list[ListedRun]:
    """Return the runs with the planned ones last, each once: of a cell and seed, the last run listed is the valid one.
    Fields of a listed run that the plan does not know are kept."""
    known = {run.identity: run for run in listed}
    names = {run.identity for run in planned}
    return [*(run for run in listed if run.identity not in names), *(known.get(run.identity, run) for run in planned)]


def drop_duplicate_runs(runs: Sequence[ListedRun]) -> list[ListedRun]:
    """Return a search's runs without the failed ones that a later trial of the same cell repeated."""
    last: dict[tuple[str, str], int] = {}
    for run in runs:
        last[run.key, run.cell] = max(last.get((run.key, run.cell), 0), run.trial or 0)
    return [run for run in runs if not run.failed or last[run.key, run.cell] == (run.trial or 0)]
