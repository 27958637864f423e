"""The sources of a report, in ``manifest.json``, and whether they have changed since.

The manifest lists every log that was read with its size and SHA-256, a checksum of the study file, the code, packages
and data, and the command.
"""

import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.figures.options import Options
from analysis.frames.searches import SearchPlan
from analysis.frames.studies import StudyPlan, find_study
from analysis.report.manifest import MANIFEST, SCHEMA, invalid, options_of, read_manifest
from nowt.core.provenance import nowt_checkout, versions_of
from nowt.store.files import open_plain_file, write_atomically
from nowt.store.jsonl import json_text
from nowt.store.layout import Store
from nowt.store.names import REPORT_FILE
from nowt.store.run_log import read_start

PACKAGES = ("nowt", "altair", "vl-convert-python", "pandas", "numpy", "scipy", "optuna", "opda", "pyarrow")

SHOWN = 5  # largest number of runs that are named


def write_manifest(
    store: Path, out: Path, plan: StudyPlan | SearchPlan, options: Options, files: Sequence[Path]
) -> Path:
    """Write ``manifest.json`` into ``out``, for ``files`` there and the logs in ``store`` that they show."""
    keys = list(dict.fromkeys(key for key, _, _ in plan.runs))
    manifest = {
        "schema": SCHEMA,
        "study": plan.key,
        "question": plan.question,
        "command": _command(plan.key, options, store, out),
        "nowt": nowt_checkout(),
        "packages": versions_of(PACKAGES),
        **_origins(store, keys),
        "plan": _plan(plan),
        "runs": {key: _log(store, key) for key in keys},
        "probes": _probes(store, plan.key),
        "files": {path.name: _digest(path) for path in files},
    }
    path = out / MANIFEST
    write_atomically(path, json_text(manifest, indent=1, ensure_ascii=False) + "\n", durable=False)
    return path


def listed_files(folder: Path) -> list[str]:
    """Return the files that the manifest in ``folder`` lists; empty without a readable manifest."""
    try:
        names = list(read_manifest(folder / MANIFEST)["files"])
    except ValueError:
        return []
    return [name for name in names if REPORT_FILE.matches(name)]


@dataclass(frozen=True)
class Freshness:
    """Whether the figures in a folder are up to date.

    Attributes:
        folder: The folder.
        study: Key of the study or search.
        stale: One line per change since the figures were drawn.
        remarks: Other differences, which do not make the figures stale.
        command: The command that draws them again.
    """

    folder: Path
    study: str
    stale: tuple[str, ...]
    remarks: tuple[str, ...]
    command: str

    @property
    def fresh(self) -> bool:
        """Whether nothing has changed."""
        return not self.stale

    def __str__(self) -> str:
        if self.fresh:
            return "\n".join([f"{self.folder} is up to date with the logs of {self.study}", *self.remarks])
        head = f"{self.folder} is out of date with the logs of {self.study}:"
        return "\n".join(
            [head, *[f"  {line}" for line in self.stale], *self.remarks, f"to draw it again: {self.command}"]
        )


def check(store: Path, folder: Path) -> Freshness:
    """Compare the manifest in ``folder`` with the logs in ``store``.

    Args:
        store: Folder of the store.
        folder: Folder that ``nowt report`` wrote.

    Returns:
        What has changed since the figures were drawn.

    Raises:
        ValueError: The folder has no readable manifest, or the store or study does not exist.

    Example:
        >>> check(Path("runs"), Path("figures")).fresh  # doctest: +SKIP
    """
    manifest = read_manifest(folder / MANIFEST)
    study, runs, files, code = (manifest[name] for name in ("study", "runs", "files", "nowt"))
    try:
        words = _command(study, options_of(manifest["command"]), store, folder)
    except ValueError:
        raise invalid(folder / MANIFEST, "command") from None
    found = find_study(store, study)
    study_file = (
        [] if manifest.get("plan", _plan(found)) == _plan(found) else ["the study file has other text or settings"]
    )
    probes = _changed_probes(manifest.get("probes", {}), _probes(store, study))
    stale = [*study_file, *_changed_runs(store, found, runs), *probes, *_changed_files(folder, files)]
    remarks = _other_code(code, manifest.get("packages", {}))
    return Freshness(folder, study, tuple(stale), tuple(remarks), words)


def _command(study: str, options: Options, store: Path, out: Path) -> str:
    """Return the command that draws the report of ``store`` into ``out``."""
    return shlex.join(["nowt", "report", study, *options.args, "--store", str(store), "--out", str(out)])


def _plan(plan: StudyPlan | SearchPlan) -> str:
    """Return a checksum of the study file without its list of runs."""
    fields = {name: value for name, value in asdict(plan).items() if name not in ("runs", "replaced", "stopped")}
    recent = ("claim", "claimed", "claimed_seeds", "search")  # which manifests of earlier versions do not have
    fields = {name: value for name, value in fields.items() if name not in recent or value is not None}
    return hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()


def _changed_runs(store: Path, study: StudyPlan | SearchPlan, runs: dict[str, Any]) -> list[str]:
    planned = dict.fromkeys(key for key, _, _ in study.runs)
    grown = [key for key in planned if key in runs and runs[key] != _log(store, key)]
    kinds = {
        "is new": [key for key in planned if key not in runs],
        "is no longer part of the study": [key for key in runs if key not in planned],
        "has started": [key for key in grown if runs[key] is None],
        "has lost its log": [key for key in grown if runs[key] and _log(store, key) is None],
    }
    others = {key for keys in kinds.values() for key in keys}
    kinds["has a changed log"] = [key for key in grown if key not in others]
    return [_named(keys, what) for what, keys in kinds.items() if keys]


def _named(keys: Sequence[str], what: str) -> str:
    if len(keys) == 1:
        return f"run {keys[0]} {what}"
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{len(keys)} runs, each {what}: {', '.join(keys[:SHOWN])}{more}"


def _changed_probes(were: dict[str, Any], are: dict[str, Any]) -> list[str]:
    gone = [f"the results of nowt probe {metric} are missing" for metric in were if metric not in are]
    return gone + [f"nowt probe {metric} has new results" for metric in are if are[metric] != were.get(metric)]


def _changed_files(folder: Path, files: dict[str, str]) -> list[str]:
    missing = [name for name in files if not (folder / name).is_file()]
    edited = [name for name in files if name not in missing and _digest(folder / name) != files[name]]
    lines = [f"{', '.join(missing)} is missing"] if missing else []
    return lines + ([f"{', '.join(edited)} has been modified"] if edited else [])


def _other_code(code: dict[str, Any], packages: dict[str, str]) -> list[str]:
    """Return differences in code and packages, which may change the look of figures but not the data."""
    now = versions_of(PACKAGES)
    other = [f"{name} {was}, now {now.get(name)}" for name, was in packages.items() if now.get(name) != was]
    lines = [f"drawn with other versions: {', '.join(other)}"] if other else []
    commit, here = code.get("commit", ""), nowt_checkout()["commit"]
    return lines + (
        [f"drawn with nowt at commit {commit[:12]}, now {here[:12]}"] if commit and here and commit != here else []
    )


def _log(store: Path, key: str) -> dict[str, Any] | None:
    """Return size and checksum of a run's log; None without a log."""
    path = Store(store).log(key)
    return _sized(path) if path.is_file() else None


def _probes(store: Path, study: str) -> dict[str, Any]:
    """Return size and checksum of the study's probe results, by metric."""
    return {path.stem: _sized(path) for path in sorted(Store(store).probes(study).glob("*.jsonl"))}


def _sized(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": _digest(path)}


def _digest(path: Path) -> str:
    with open_plain_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _origins(store: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Return the data, commits and package versions with which the runs were trained, each with its number of runs."""
    data: Counter[str] = Counter()
    commits: Counter[str] = Counter()
    versions: Counter[str] = Counter()
    for path in (Store(store).log(key) for key in keys):
        start = read_start(path) if path.is_file() else {}
        if start:
            data[f"{start['config']['data']['name']} {start.get('fingerprint', '')}"] += 1
            commit = start.get("git", {})
            commits[f"{commit.get('commit') or 'unknown'}{' with changes' if commit.get('dirty') else ''}"] += 1
            versions[", ".join(f"{name} {text}" for name, text in start.get("versions", {}).items())] += 1
    return {"data": dict(data), "trained_by": dict(commits), "trained_with": dict(versions)}
