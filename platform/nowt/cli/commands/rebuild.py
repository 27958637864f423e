"""``nowt rebuild``."""

from argparse import Namespace
from pathlib import Path

from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command
from nowt.core.formatting import counted


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    add_command(commands, "rebuild", "rebuild MLflow's database and the frames from the epoch logs", "nowt rebuild")


def run(args: Namespace) -> int:
    """Rebuild MLflow's database and the frames."""
    echo(rebuild_all(Path(args.store)))
    return 0


def rebuild_all(store: Path) -> str:
    """Rebuild a store's MLflow database and frames, and return one line about each.

    Raises ValueError if the store does not exist, or if a log or study file cannot be read.
    """
    from nowt.tracking.refresh import rebuild

    recorded = f"{counted(rebuild(store), 'run')} written to {store}/mlflow.db"
    return f"{recorded}\n{rebuild_frames(store)}"


def rebuild_frames(store: Path) -> str:
    """Rebuild a store's frames, and return what was written, or why nothing was."""
    from nowt.studies.lookup import find_frames

    frames = find_frames()
    return frames(store) if frames else "no frames written: nowt is installed without its analysis"
