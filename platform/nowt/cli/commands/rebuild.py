"""``nowt rebuild``."""

import argparse
from pathlib import Path

from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override
from nowt.studies.lookup import find_frames


def add(verbs: Verbs) -> None:
    """Its grammar."""
    add_verb(verbs, "rebuild", "MLflow and frames again, from the logs alone", "nowt rebuild")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """MLflow and frames again."""
    pass

    none_of(overrides)
    print(rebuild_all(Path(typed.store)))
    return 0


def rebuild_all(store: Path) -> str:
    """Make a store's record and frames again; what was made, line by line.

    Raises ValueError for a missing store, and for a log or study file that cannot be read.
    """
    from nowt.tracking.recorder import rebuild

    recorded = f"{rebuild(store)} runs written to {store}/mlflow.db"
    return f"{recorded}\n{rebuild_frames(store)}"


def rebuild_frames(store: Path) -> str:
    """Make a store's frames again; what was made, or why nothing was."""
    frames = find_frames()
    return frames(store) if frames else "no frames: this nowt is installed without its analysis"
