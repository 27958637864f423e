"""The study file ``studies/KEY.json``: a study as it was last started, and all its runs.

A search appends the runs of its trials to ``studies/KEY.runs.jsonl``, one line of JSON each, so that the cost of one
more trial does not depend on the number of trials before it.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nowt.core.errors import ConfigError, did_you_mean
from nowt.core.plugins import file_label
from nowt.store.files import write_atomically
from nowt.store.jsonl import complete_lines, drop_incomplete_line
from nowt.store.layout import Store

SCHEMA = 1  # of a study file; files without a schema are of the first

REQUIRED = {"key", "name", "question", "reference", "seeds", "created", "runs"}


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
    def from_json(cls, data: dict[str, Any]) -> "ListedRun":
        """Return the entry that ``to_json`` wrote. Raises KeyError, TypeError or AttributeError for other data."""
        return cls(data["key"], data["cell"], data["seed"], **_optional(cls, data, {"key", "cell", "seed"}))

    def to_json(self) -> dict[str, Any]:
        """Return the entry as plain JSON data; fields that are None are omitted."""
        known = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "other"}
        return {name: value for name, value in known.items() if value is not None} | self.other


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
    cells: list[dict[str, Any]] = field(default_factory=list)  # name, config and, in a search, params of each
    storage: str | None = None  # URL of Optuna's storage; empty: the store's own
    other: dict[str, Any] = field(default_factory=dict)  # fields that this version does not know
    key: str = ""
    created: int = 0  # milliseconds since 1970
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
        names = {config[part]["name"] for config in configs.values() for part in ("rule", "model")}
        counts = Counter(map(file_label, names))
        labels = {name: label if counts[label := file_label(name)] == 1 else name for name in names}
        return {
            cell: {
                **config,
                **{part: {**config[part], "name": labels[config[part]["name"]]} for part in ("rule", "model")},
            }
            for cell, config in configs.items()
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "StudyFile":
        """Return the study file that ``to_json`` wrote. Raises KeyError, TypeError or AttributeError for other data."""
        runs = [ListedRun.from_json(run) for run in data["runs"]]
        needed = {name: data[name] for name in ("name", "question", "reference", "seeds", "key", "created")}
        return cls(data.get("schema"), **needed, runs=runs, **_optional(cls, data, {*needed, "schema", "runs"}))

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


def _optional(kind: type[Any], data: dict[str, Any], given: set[str]) -> dict[str, Any]:
    """Return the arguments of ``kind`` for the fields of ``data`` that are not ``given``."""
    known = {f.name for f in fields(kind)} - {"other"}
    rest = {name: value for name, value in data.items() if name not in given}
    other = {name: value for name, value in rest.items() if name not in known}
    return {name: value for name, value in rest.items() if name in known} | {"other": other}


def write_study_file(
    store: Path, key: str, content: dict[str, Any], runs: Sequence[ListedRun] = ()
) -> tuple[StudyFile, str]:
    """Write the file of study ``key``, adding ``runs`` to those that it already lists.

    Returns the study file as it now reads, and a remark if another study of this name was run before.
    """
    path = Store(store).study_file(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    known = _object(path) if path.exists() else {}
    remark = change_remark(store, content["name"], key)
    new = [run.to_json() for run in runs]
    listed = [run for run in known.get("runs", []) if run not in new] + new
    seeds = sorted({*content["seeds"], *(run["seed"] for run in listed)})
    created = known.get("created", time.time_ns() // 1_000_000)
    data = {"schema": SCHEMA, **content, "seeds": seeds, "key": key, "created": created, "runs": listed}
    write_atomically(path, json.dumps(StudyFile.from_json(data).to_json(), indent=1) + "\n", durable=False)
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
    with Store(store).study_runs(study.key).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_study_file(path: Path) -> StudyFile:
    """Return the study file at ``path`` with every run that it lists. Raises ValueError for a file that is not one."""
    data = _object(path)
    if (schema := data.get("schema", SCHEMA)) != SCHEMA:
        raise ValueError(
            f"{path} is a study file of schema {schema}, this version of nowt reads {SCHEMA}: update nowt, or move it "
            "out of the store"
        )
    missing = sorted(REQUIRED - data.keys())
    if missing:
        raise ValueError(f"{path} is not a study file, it has no {', '.join(missing)}: move it out of the store")
    try:
        study = StudyFile.from_json(data)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} lists something that is not a run ({error}): move it out of the store") from None
    study.runs.extend(_appended_runs(path.with_suffix(".runs.jsonl")))
    return study


def _appended_runs(path: Path) -> list[ListedRun]:
    lines = complete_lines(path) if path.exists() else []
    try:
        return [ListedRun.from_json(run) for run in _merged(map(json.loads, lines))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} has a line that lists no run ({error}): restore it from a copy") from None


def _merged(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the runs that the lines list, each once, with the last value of every field."""
    runs: dict[tuple[str, str, int], dict[str, Any]] = {}
    for line in lines:
        runs.setdefault((line["key"], line["cell"], line.get("trial", 0)), {}).update(line)
    return list(runs.values())


def drop_duplicate_runs(runs: Sequence[ListedRun]) -> list[ListedRun]:
    """Return a search's runs without the failed ones that a later trial of the same cell repeated."""
    last = {(run.key, run.cell): run.trial for run in runs}
    return [run for run in runs if not run.failed or last[run.key, run.cell] == run.trial]


def read_study_files(store: Path) -> list[StudyFile]:
    """Return every study file, the oldest first. Raises ValueError for a file that is not one."""
    return sorted(map(read_study_file, Store(store).study_files()), key=lambda study: int(study.created))


def find_study_files(store: Path, wanted: str, searches: bool | None = None) -> list[StudyFile]:
    """Return the study files with name or key ``wanted``, the oldest first.

    ``searches``: True looks among searches only, False among ablations only. Raises ConfigError if there is none.
    """
    known = [file for file in read_study_files(store) if searches in (None, file.is_search)]
    matching = [file for file in known if wanted in (file.name, file.key)]
    if not matching:
        names = list(dict.fromkeys(file.name for file in known))
        near = did_you_mean(wanted, [*names, *(file.key for file in known)])
        commands = {False: "`nowt ablate STUDY`", True: "`nowt search SPACE`"}
        start = commands[searches] if searches is not None else " or ".join(commands.values())
        hint = f"; it has: {', '.join(names)}" if names else f": start one with {start}"
        raise ConfigError(f"store {store} has no {'search' if searches else 'study'} {wanted!r}{near}{hint}")
    return matching


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}): move it out of the store") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds {type(found).__name__}, expected an object: move it out of the store")
    return found
