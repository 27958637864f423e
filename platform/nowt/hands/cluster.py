"""The Ray that a study's work runs on: one of its own on this machine, or the cluster that RAY_ADDRESS names."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ray


@contextmanager
def joined(cores: int, environment: Mapping[str, str]) -> Iterator[None]:
    """A Ray of our own with so many cores, or the cluster that RAY_ADDRESS names; ``environment`` is Ray's settings."""
    os.environ.update(environment)
    address = os.environ.get("RAY_ADDRESS", "local")
    own = {"num_cpus": cores} if address == "local" else {}
    started = not ray.is_initialized()
    if started:
        ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level="ERROR", **own)
    try:
        yield
    finally:
        if started:
            ray.shutdown()


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """The folder that Ray wants for itself, without what a killed driver of the same study left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
