"""``nowt rebuild``: everything that follows from the logs made anew, MLflow first, then the frames."""

from pathlib import Path

from nowt.find import find_frames


def rebuild_all(store: Path) -> str:
    """Make a store's record and frames again; what was made, line by line.

    Raises ValueError for a missing store, and for a log or sheet that cannot be read.
    """
    from nowt.record import rebuild

    recorded = f"{rebuild(store)} runs written to {store}/mlflow.db"
    return f"{recorded}\n{rebuild_frames(store)}"


def rebuild_frames(store: Path) -> str:
    """Make a store's frames again; what was made, or why nothing was."""
    frames = find_frames()
    return frames(store) if frames else "no frames: this nowt is installed without its analysis"
