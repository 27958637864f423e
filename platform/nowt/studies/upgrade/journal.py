"""The journal of an upgrade: what it is going to do, written before it begins, so that a later start completes it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from nowt.store.files import write_atomically
from nowt.store.layout import Store
from nowt.studies.upgrade.plan import UpgradedRun


def write_journal(store: Path, runs: Sequence[UpgradedRun]) -> None:
    """Record these runs as those that are being upgraded."""
    write_atomically(_path(store), json.dumps([asdict(run) for run in runs], indent=1) + "\n", durable=True)


def read_journal(store: Path) -> tuple[UpgradedRun, ...]:
    """Return the runs of an upgrade that was interrupted; none if there is none."""
    path = _path(store)
    return tuple(UpgradedRun(**run) for run in json.loads(path.read_text(encoding="utf-8"))) if path.exists() else ()


def remove_journal(store: Path) -> None:
    """Record that the upgrade is complete."""
    _path(store).unlink(missing_ok=True)


def _path(store: Path) -> Path:
    return Store(store).earlier / "unfinished.json"
