"""Rewrites the files of a store with the new keys of its runs.

Each function can be repeated after an interruption: it skips what is done. No measurement is changed or deleted. The
logs and study files as they were before are kept in ``STORE/earlier``.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nowt.core.errors import ConfigError
from nowt.store.files import read_plain_file, sync_folder, write_atomically
from nowt.store.jsonl import complete_lines, complete_part, json_text, parse_line
from nowt.store.layout import Store
from nowt.store.locks import LogInUse, LogLock, describe_holder
from nowt.studies.upgrade.plan import UpgradedRun


def write_logs(store: Path, runs: Sequence[UpgradedRun]) -> list[UpgradedRun]:
    """Write the log of each run under its new key, with today's facts in its first line. The old log stays for now.

    Returns the runs that have this log. Others were trained again under the new key after an interruption, and keep
    their old log. Raises ConfigError if a process is writing one of the logs.
    """
    for run in runs:
        old, new = Store(store).log(run.earlier), Store(store).log(run.key)
        if old.exists() and not new.exists():
            lock = _locked(old)
            first, _, rest = complete_part(old).partition(b"\n")
            line = {**json.loads(first), "key": run.key, **run.start}
            write_atomically(new, json_text(line).encode() + b"\n" + rest, durable=True)
            del lock
    return [run for run in runs if _is_continued(store, run)]


def _is_continued(store: Path, run: UpgradedRun) -> bool:
    """Return whether the new log contains everything in the old one, which an earlier start may have set aside."""
    old, new = Store(store).log(run.earlier), Store(store).log(run.key)
    return not old.exists() or (new.exists() and _after_first(new).startswith(_after_first(old)))


def move_checkpoints(store: Path, runs: Sequence[UpgradedRun]) -> None:
    """Rename the folders of checkpoints."""
    for run in runs:
        old, new = Store(store).checkpoints(run.earlier), Store(store).checkpoints(run.key)
        if old.exists() and not new.exists():
            old.rename(new)


def rewrite_study_files(store: Path, keys: Mapping[str, str]) -> None:
    """Replace the keys in study files and in files of appended runs."""
    for path in Store(store).study_files():
        data = json.loads(read_plain_file(path))
        if _lists(data["runs"], keys):
            _keep(store, path)
            data["runs"] = _renamed(data["runs"], keys)
            write_atomically(path, json_text(data, indent=1) + "\n", durable=True)
    for path in Store(store).all_study_runs():
        lines = [parse_line(line) for line in complete_lines(path)]
        if _lists(lines, keys):
            _keep(store, path)
            lines = [{**line, "key": keys.get(line["key"], line["key"])} for line in lines]
            write_atomically(path, "".join(json_text(line) + "\n" for line in lines), durable=True)


def rewrite_probe_results(store: Path, keys: Mapping[str, str]) -> None:
    """Replace the keys in the results of ``nowt probe``. Raises ConfigError if a process is writing one of them."""
    for path in sorted(Store(store).path.glob("probes/*/*.jsonl")):
        lock = _locked(path)
        lines = [parse_line(line) for line in complete_lines(path)]
        if any(line.get("run") in keys for line in lines):
            _keep(store, path)
            lines = [{**line, "run": keys.get(line["run"], line["run"])} for line in lines]
            write_atomically(path, "".join(json_text(line) + "\n" for line in lines), durable=True)
        del lock


def set_logs_aside(store: Path, runs: Sequence[UpgradedRun]) -> None:
    """Move the old logs to ``STORE/earlier``. One that has grown since it was rewritten stays.

    Raises ConfigError if a process is writing one of the logs.
    """
    folder = Store(store).earlier / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    for run in runs:
        old = Store(store).log(run.earlier)
        if old.exists():
            lock = _locked(old)
            if _is_continued(store, run):
                os.replace(old, folder / old.name)
            del lock
    sync_folder(folder)


def _after_first(log: Path) -> bytes:
    return complete_part(log).partition(b"\n")[2]


def _locked(path: Path) -> LogLock:
    try:
        return LogLock(path)
    except LogInUse:
        holder = describe_holder(path)
        raise ConfigError(f"{path} is being written by {holder}: wait for it, or stop it, and upgrade again") from None


def _keep(store: Path, path: Path) -> None:
    """Copy a file to ``STORE/earlier``, unless an earlier upgrade has."""
    kept = Store(store).earlier / path.relative_to(store)
    if not kept.exists():
        write_atomically(kept, read_plain_file(path), durable=True)
        shutil.copystat(path, kept)


def _lists(runs: Sequence[Mapping[str, Any]], keys: Mapping[str, str]) -> bool:
    return any(run["key"] in keys for run in runs)


def _renamed(runs: Sequence[Mapping[str, Any]], keys: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the runs with their new keys, each once, since a start of the study meanwhile may have listed them."""
    found: list[dict[str, Any]] = []
    for run in runs:
        renamed = {**run, "key": keys.get(run["key"], run["key"])}
        if renamed not in found:
            found.append(renamed)
    return found
