"""The journal of an upgrade: what it is going to do, written before it begins, so that a later start completes it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from nowt.core.errors import ConfigError
from nowt.store.files import read_plain_file, write_atomically
from nowt.store.json_types import OBJECT, RUN, Table, check_objects
from nowt.store.jsonl import parse_line
from nowt.store.layout import Store
from nowt.studies.upgrade.plan import UpgradedRun

TYPES: Table = {"earlier": RUN, "key": RUN, "start": OBJECT}


def write_journal(store: Path, runs: Sequence[UpgradedRun]) -> None:
    """Record these runs as those that are being upgraded."""
    write_atomically(
        _path(store), json.dumps([asdict(run) for run in runs], indent=1, allow_nan=False) + "\n", durable=True
    )


def read_journal(store: Path) -> tuple[UpgradedRun, ...]:
    """Return the runs of an upgrade that was interrupted; none if there is none. Raises ConfigError for a file that is
    no journal."""
    path = _path(store)
    if not path.exists():
        return ()
    try:
        runs = parse_line(read_plain_file(path))
        check_objects(runs, TYPES, TYPES.keys(), "runs")
    except ValueError as error:
        raise ConfigError(f"{path} is not the journal of an upgrade ({error}): delete it, and upgrade again") from None
    return tuple(UpgradedRun(**{name: run[name] for name in TYPES}) for run in runs)


def remove_journal(store: Path) -> None:
    """Record that the upgrade is complete."""
    _path(store).unlink(missing_ok=True)


def _path(store: Path) -> Path:
    return Store(store).earlier / "unfinished.json"
