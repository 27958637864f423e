"""The study file ``studies/KEY.json``: a study as it was last started, and all its runs.

A search appends the runs of its trials to ``studies/KEY.runs.jsonl``, one line of JSON each, so that the cost of one
more trial does not depend on the number of trials before it.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from nowt.core.errors import ConfigError, UserError, did_you_mean
from nowt.core.plugins import file_labels
from nowt.store.claim_record import claim_record
from nowt.store.existing import require_store
from nowt.store.files import read_plain_file, write_atomically
from nowt.store.json_types import (
    INTEGER,
)
from nowt.store.jsonl import append_line, drop_incomplete_line, json_text, parse_line
from nowt.store.layout import Store
from nowt.store.listed_runs import (
    ListedRun,
    appended_runs,
    merged_runs,
    optional_fields,
    with_planned_runs,
)
from nowt.store.study_fields import REQUIRED, check_study

SCHEMA = 1  # of a study file; files without a schema are of the first


class UndescribedCell(UserError):
    """A study lists a run of a cell that it does not describe. The message follows the name of the study."""


@dataclass(frozen=True)
class StudyFile:
    """A study, or a search, as its file describes it.

    ``runs`` grows while a search runs. Fields of a search are None in an ablation, and ``keep`` is None in a search.
    """

    schema: int | None  # None in a file that was written before there were schemas
    name: str
    question: str
    reference: str  # the cell that the others are compared with
    seeds: list[int]
    keep: str | list[int] | None = None  # the epochs whose checkpoints are kept
    seed: int | None = None  # of the sampler
    sampler: str | None = None
    stopping: dict[str, Any] | None = None
    budget: dict[str, Any] | None = None
    confirm: dict[str, Any] | None = None  # how the best settings of a search are trained again
    claim: dict[str, Any] | None = None  # stated before the runs, of an ablation or of a search's picks
    claimed: int | None = None  # when the claim was first recorded as it is, milliseconds since 1970
    claimed_seeds: list[int] | None = None  # planned then; None in a search
    search: str | None = None  # key of the search whose best settings these are
    cells: list[dict[str, Any]] = field(default_factory=list)  # name, config and, in a search, params of each
    storage: str | None = None  # URL of Optuna's storage; empty: the store's own
    other: dict[str, Any] = field(default_factory=dict)  # fields that this version does not know
    key: str = ""
    created: int = 0  # milliseconds since 1970
    started: int | None = None  # when it was last started; None in files of earlier versions
    runs: list[ListedRun] = field(default_factory=list)

    @property
    def is_search(self) -> bool:
        """Whether the file is that of a search."""
        return self.sampler is not None

    @property
    def labelled_configs(self) -> dict[str, dict[str, Any]]:
        """The config of each cell by name, for display: custom rules and models without the folders of their files,
        unless files in two folders have one name."""
        configs = {cell["name"]: cell["config"] for cell in self.cells}
        labels = file_labels(config[part]["name"] for config in configs.values() for part in ("rule", "model"))
        return {
            cell: {
                **config,
                **{part: {**config[part], "name": labels[config[part]["name"]]} for part in ("rule", "model")},
            }
            for cell, config in configs.items()
        }

    def with_appended(self, appended: Iterable[ListedRun]) -> "StudyFile":
        """Return the study with the appended runs. Raises UndescribedCell for a run of a cell that it lacks."""
        runs = merged_runs(self.runs, appended)
        cells = {cell["name"] for cell in self.cells}
        if unknown := [run.cell for run in runs if run.cell not in cells]:
            raise UndescribedCell(f"lists a run of cell {unknown[0]!r}, which it does not describe")
        return replace(self, runs=runs)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "StudyFile":
        """Return the study file that ``to_json`` wrote. Raises ValueError for other data, naming the field."""
        check_study(data)
        runs = [ListedRun.from_json(run, f"runs[{number}].") for number, run in enumerate(data["runs"])]
        needed = {name: data[name] for name in ("name", "question", "reference", "seeds", "key", "created")}
        return cls(data.get("schema"), **needed, runs=runs, **optional_fields(cls, data, {*needed, "schema", "runs"}))

    def to_json(self) -> dict[str, Any]:
        """Return the file's content as plain JSON data; fields that are None are omitted."""
        found: dict[str, Any] = {}
        for name in (f.name for f in fields(self)):
            if name == "other":
                found |= self.other
            elif name == "runs":
                found["runs"] = [run.to_json() for run in self.runs]
            elif (value := getattr(self, name)) is not None:
                found[name] = value
        return found


def write_study_file(
    store: Path, key: str, content: dict[str, Any], runs: Sequence[ListedRun] = ()
) -> tuple[StudyFile, str]:
    """Write the file of study ``key``, adding ``runs`` to those that it already lists.

    Returns the study file as it now reads, and a remark if another study of this name was run before.
    """
    path = Store(store).study_file(key)
    known = read_definition(path) if path.exists() else None
    remark = change_remark(store, content["name"], key)
    listed = with_planned_runs(known.runs if known else [], runs)
    now = time.time_ns() // 1_000_000
    seeds = sorted({*content["seeds"], *(run.seed for run in listed)})
    data = {
        **(known.other if known else {}),
        "schema": SCHEMA,
        **content,
        "seeds": seeds,
        "key": key,
        "created": known.created if known else now,
        "started": now,
        **claim_record(known, content, seeds, now),
        "runs": [run.to_json() for run in listed],
    }
    write_atomically(path, json_text(StudyFile.from_json(data).to_json(), indent=1) + "\n", durable=True)
    if (appended := Store(store).study_runs(key)).exists():
        drop_incomplete_line(appended)
    return read_study_file(path), remark


def change_remark(store: Path, name: str, key: str) -> str:
    """Return a remark if ``key`` has not run yet, but other studies of this name have; otherwise an empty string."""
    path = Store(store).study_file(key)
    others = sorted(p.stem for p in path.parent.glob(f"{name}-????????.json") if p != path)
    if not others or path.exists():
        return ""
    return f"{name} has changed since {', '.join(others)}: this is a new study, {key}"


def ambiguity_remark(store: Path, wanted: str) -> str:
    """Return a remark if several studies have the name ``wanted``, of which the newest is used; otherwise an empty
    string."""
    keys = [file.key for file in read_study_files(store) if file.name == wanted]
    if len(keys) < 2:
        return ""
    return (
        f"{wanted} is the name of {len(keys)} studies; the newest, {keys[-1]}, is used (older: {', '.join(keys[:-1])})"
    )


def append_run(store: Path, study: StudyFile, run: ListedRun) -> None:
    """List one more run, in ``study`` and on disk."""
    study.runs.append(run)
    _append(store, study, run.to_json())


def append_stop(store: Path, study: StudyFile, run: ListedRun, epoch: int, reason: str) -> None:
    """Record on disk that the study stopped a listed run after ``epoch``, even if another study continues the run."""
    _append(store, study, {**run.to_json(), "stopped": epoch, "reason": reason})


def append_failure(store: Path, study: StudyFile, run: ListedRun) -> None:
    """Record on disk that a listed run failed in this study; another trial, with its own number, repeats it."""
    _append(store, study, {**run.to_json(), "failed": True})


def _append(store: Path, study: StudyFile, line: dict[str, Any]) -> None:
    append_line(Store(store).study_runs(study.key), json_text(line))


def read_study_file(path: Path) -> StudyFile:
    """Return the study file at ``path`` with every run that it lists. Raises ValueError for a file that is not one."""
    try:
        return read_definition(path).with_appended(appended_runs(path.with_suffix(".runs.jsonl")))
    except UndescribedCell as error:
        raise UserError(f"{path} {error}: restore a copy of it, or move it out of the store") from None


def read_definition(path: Path) -> StudyFile:
    """Return the study file at ``path`` without the runs that a search has appended beside it.

    Raises ValueError for a file that is not one, for one of another schema, and for one under another name.
    """
    data = _object(path)
    schema = data.get("schema", SCHEMA)
    if INTEGER.accepts(schema) and schema != SCHEMA:
        raise UserError(
            f"{path} is a study file of schema {schema}, this version of nowt reads {SCHEMA}: update nowt, or move it "
            "out of the store"
        )
    missing = sorted(REQUIRED - data.keys())
    if missing:
        raise UserError(f"{path} is not a study file, it has no {', '.join(missing)}: move it out of the store")
    try:
        study = StudyFile.from_json(data)
    except ValueError as error:
        raise UserError(f"{path} is not a study file ({error}): move it out of the store") from None
    if study.key != path.stem:
        raise UserError(
            f"{path} is the file of study {study.key}: name it {study.key}.json, or move it out of the store"
        )
    return replace(study, runs=merged_runs(study.runs))


def read_study_files(store: Path) -> list[StudyFile]:
    """Return every study file, the oldest first. Raises ValueError for a file that is not one."""
    return sorted(map(read_study_file, Store(store).study_files()), key=lambda study: study.created)


def study_files_named(store: Path, name: str) -> list[StudyFile]:
    """Return the study files with this name. Raises ValueError for a file that is not one."""
    paths = (path for path in Store(store).study_files() if path.stem.rpartition("-")[0] == name)
    return [read_study_file(path) for path in paths]


def find_study_files(store: Path, wanted: str | None, searches: bool | None = None) -> list[StudyFile]:
    """Return the study files with name or key ``wanted``, or all if it is None, the oldest first.

    ``searches``: True looks among searches only, False among ablations only. Raises ConfigError if there is none, or no
    store.
    """
    require_store(store)
    known = [file for file in read_study_files(store) if searches in (None, file.is_search)]
    matching = [file for file in known if wanted in (None, file.name, file.key)]
    if not matching:
        commands = {False: "`nowt ablate STUDY`", True: "`nowt search SPACE`"}
        start = commands[searches] if searches is not None else " or ".join(commands.values())
        if wanted is None:
            raise ConfigError(f"store {store} holds no study yet: start one with {start}")
        names = list(dict.fromkeys(file.name for file in known))
        near = did_you_mean(wanted, [*names, *(file.key for file in known)])
        hint = f"; it has: {', '.join(names)}" if names else f": start one with {start}"
        raise ConfigError(f"store {store} has no {'search' if searches else 'study'} {wanted!r}{near}{hint}")
    return matching


def _object(path: Path) -> dict[str, Any]:
    data = read_plain_file(path)
    try:
        found = parse_line(data)
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}): move it out of the store") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} holds {type(found).__name__}, expected an object: move it out of the store")
    return found
