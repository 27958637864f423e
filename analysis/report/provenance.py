"""Where a folder of figures comes from: ``manifest.json``, and whether the logs have gone on since.

It lists every log that was read with its size and SHA-256, the study file, the code, packages and data, and the
command. Logs only grow, so one that has changed is first seen by its size.
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
from nowt.core.provenance import git, versions_of
from nowt.store.files import write_atomically
from nowt.store.layout import Store

SCHEMA = 1

MANIFEST = "manifest.json"

PACKAGES = ("nowt", "altair", "vl-convert-python", "pandas", "numpy", "scipy", "optuna", "opda", "pyarrow")

HELD = {"schema": int, "study": str, "runs": dict, "files": dict, "nowt": dict, "command": str}

SHOWN = 5  # runs that are named


def write_manifest(
    store: Path, out: Path, plan: StudyPlan | SearchPlan, options: Options, files: Sequence[Path]
) -> Path:
    """Write ``manifest.json`` into ``out``, about ``files`` there and the logs in ``store`` that they show."""
    keys = list(dict.fromkeys(key for key, _, _ in plan.runs))
    words = ["nowt", "report", plan.key, *options.words, "--store", str(store), "--out", str(out)]
    manifest = {
        "schema": SCHEMA,
        "study": plan.key,
        "question": plan.question,
        "command": shlex.join(words),
        "nowt": git(),
        "packages": versions_of(PACKAGES),
        **_origins(store, keys),
        "plan": _plan(plan),
        "runs": {key: _log(store, key) for key in keys},
        "probes": _probes(store, plan.key),
        "files": {path.name: _digest(path) for path in files},
    }
    path = out / MANIFEST
    write_atomically(path, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", durable=False)
    return path


def listed_files(folder: Path) -> list[str]:
    """The files that the manifest in ``folder`` lists; none where there is no manifest that can be read."""
    try:
        names = list(_read(folder / MANIFEST)["files"])
    except ValueError:
        return []
    return [name for name in names if Path(name).name == name]


@dataclass(frozen=True)
class Freshness:
    """Whether a folder's figures show what the logs say."""

    folder: Path
    study: str
    stale: tuple[str, ...]  # what has changed since, a line each
    remarks: tuple[str, ...]  # what else is different, and does not make them stale
    command: str  # draws them again

    @property
    def fresh(self) -> bool:
        """Nothing has changed since."""
        return not self.stale

    def __str__(self) -> str:
        if self.fresh:
            return "\n".join([f"{self.folder} shows {self.study} as its logs are now", *self.remarks])
        head = f"{self.folder} is older than the logs of {self.study}:"
        return "\n".join([head, *[f"  {line}" for line in self.stale], *self.remarks, f"again: {self.command}"])


def check(store: Path, folder: Path) -> Freshness:
    """Compare the manifest in ``folder`` with the logs in ``store``.

    Raises ValueError for a folder without a manifest, for one that cannot be read, and where there is no such store.
    """
    manifest = _read(folder / MANIFEST)
    study, runs, files, code, command = (manifest[name] for name in ("study", "runs", "files", "nowt", "command"))
    found = find_study(store, study)
    study_file = (
        [] if manifest.get("plan", _plan(found)) == _plan(found) else ["the study file has other words or settings"]
    )
    probes = _changed_probes(manifest.get("probes", {}), _probes(store, study))
    stale = [*study_file, *_changed_runs(store, found, runs), *probes, *_changed_files(folder, files)]
    remarks = _other_code(code, manifest.get("packages", {}))
    return Freshness(folder, study, tuple(stale), tuple(remarks), _into(command, folder))


def _into(command: str, folder: Path) -> str:
    """The command, which may have written into another folder, for this one."""
    return shlex.join([*shlex.split(command)[:-1], str(folder)])


def _plan(plan: StudyPlan | SearchPlan) -> str:
    """A checksum of what the study file says but for the runs that it lists, and what became of them."""
    said = {name: value for name, value in asdict(plan).items() if name not in ("runs", "replaced", "stopped")}
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _changed_runs(store: Path, study: StudyPlan | SearchPlan, runs: dict[str, Any]) -> list[str]:
    planned = dict.fromkeys(key for key, _, _ in study.runs)
    grown = [key for key in planned if key in runs and runs[key] != _log(store, key)]
    kinds = {
        "is new": [key for key in planned if key not in runs],
        "is no part of the study any more": [key for key in runs if key not in planned],
        "has begun": [key for key in grown if runs[key] is None],
        "has lost its log": [key for key in grown if runs[key] and _log(store, key) is None],
    }
    others = {key for keys in kinds.values() for key in keys}
    kinds["has another log"] = [key for key in grown if key not in others]
    return [_named(keys, what) for what, keys in kinds.items() if keys]


def _named(keys: Sequence[str], what: str) -> str:
    if len(keys) == 1:
        return f"run {keys[0]} {what}"
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"of {len(keys)} runs each {what}: {', '.join(keys[:SHOWN])}{more}"


def _changed_probes(were: dict[str, Any], are: dict[str, Any]) -> list[str]:
    gone = [f"what nowt probe measured of {metric} is gone" for metric in were if metric not in are]
    return gone + [f"nowt probe has measured {metric} since" for metric in are if are[metric] != were.get(metric)]


def _changed_files(folder: Path, files: dict[str, str]) -> list[str]:
    missing = [name for name in files if not (folder / name).is_file()]
    edited = [name for name in files if name not in missing and _digest(folder / name) != files[name]]
    lines = [f"{', '.join(missing)} is missing"] if missing else []
    return lines + ([f"{', '.join(edited)} is not as it was written"] if edited else [])


def _other_code(code: dict[str, Any], packages: dict[str, str]) -> list[str]:
    """Other versions may draw otherwise, but the logs are what they were."""
    now = versions_of(PACKAGES)
    other = [f"{name} {was}, now {now.get(name)}" for name, was in packages.items() if now.get(name) != was]
    lines = [f"drawn with {', '.join(other)}"] if other else []
    commit, here = code.get("commit", ""), git()["commit"]
    return lines + ([f"drawn by nowt at {commit[:12]}, now {here[:12]}"] if commit and here and commit != here else [])


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"there is no {path}: give --check a folder that nowt report wrote")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}): nowt report writes it anew") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no manifest: nowt report writes it anew")
    if isinstance(found.get("schema"), int) and found["schema"] > SCHEMA:
        raise ValueError(f"{path} has schema {found['schema']}, this nowt reads up to {SCHEMA}: update nowt")
    for name, kind in HELD.items():
        if not isinstance(found.get(name), kind):
            raise ValueError(f"{path} has no {name}, or a wrong one: nowt report writes it anew")
    return found


def _log(store: Path, key: str) -> dict[str, Any] | None:
    """Size and checksum of a run's log; None where it has none yet."""
    path = Store(store).log(key)
    return _sized(path) if path.is_file() else None


def _probes(store: Path, study: str) -> dict[str, Any]:
    """Size and checksum of what was measured on the study's checkpoints, by metric."""
    return {path.stem: _sized(path) for path in sorted(Store(store).probes(study).glob("*.jsonl"))}


def _sized(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": _digest(path)}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _origins(store: Path, keys: Sequence[str]) -> dict[str, Any]:
    """What the runs were trained on and with: each fingerprint, commit and set of versions that there is, with the
    number of runs."""
    data: Counter[str] = Counter()
    commits: Counter[str] = Counter()
    versions: Counter[str] = Counter()
    for path in (Store(store).log(key) for key in keys):
        start = _start(path) if path.is_file() else {}
        if start:
            data[f"{start['config']['data']['name']} {start.get('fingerprint', '')}"] += 1
            commit = start.get("git", {})
            commits[f"{commit.get('commit') or 'unknown'}{' with changes' if commit.get('dirty') else ''}"] += 1
            versions[", ".join(f"{name} {text}" for name, text in start.get("versions", {}).items())] += 1
    return {"data": dict(data), "trained_by": dict(commits), "trained_with": dict(versions)}


def _start(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8") as file:
        line = file.readline()
    found = json.loads(line) if line.endswith("\n") else {}
    return found if found.get("kind") == "start" else {}
