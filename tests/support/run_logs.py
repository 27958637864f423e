"""Logs of runs that nobody trained, without importing torch or MLflow."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from nowt.store.records import Epoch, Layer
from nowt.store.run_log import LogWriter

FACTS: dict[str, Any] = {
    "config": {
        "rule": {"name": "bp"},
        "model": {"name": "mlp"},
        "data": {"name": "digits"},
        "seed": 0,
        "epochs": 3,
    },
    "fingerprint": "f",
    "classes": 10,
    "certificate": "certificate-bp.json",
    "versions": {"torch": "2.14.1"},
    "git": {"commit": "abc", "dirty": True},
    "skipped": ["a.jpg"],
}


def start(folder: Path, key: str, **facts: Any) -> LogWriter:
    """The writer of a run that has started; ``facts`` are added to its first line."""
    writer = LogWriter.open(folder, key)
    writer.start(key, **FACTS, **facts)
    return writer


def epoch(number: int, *layers: Layer, test_error: float = 0.2) -> Epoch:
    """The numbers of an epoch, of which only some can be chosen."""
    base = Epoch(number, 10 * number, 0.1, 1.0, 0.5, 1.1, 0.4, 0.9, test_error, 100 * number, 0, 1e6, 2.0, 0.1)
    return replace(base, layers=layers)
