"""A line that describes a data set: its images by split, its classes, and the files that are left out."""

from collections.abc import Mapping

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.data.datasets import BUILTIN, DatasetSplits

KINDS = 5  # of files that are left out, which are named


def describe_data(config: DataConfig, placement: Placement, data: DatasetSplits) -> str:
    """Return the line. The numbers are those of the images that are used, after ``train_limit`` and ``score_limit``."""
    place = "" if config.name in BUILTIN else f" in {placement.data}"
    trained = "" if config.hold_out else " (trained on as well)"
    counts = [f"{len(data.train):,} training", f"{len(data.val):,} validation{trained}"]
    counts += [] if data.test is None else [f"{len(data.test):,} test"]
    images = f"{', '.join(counts[:-1])} and {counts[-1]} images of {data.classes:,} classes"
    broken = [f"{len(data.skipped):,} broken or unsupported images"] if data.skipped else []
    left_out = [*broken, *_kinds(data.left_out)]
    return f"data {config.name}{place}: {images}" + (f"; left out: {', '.join(left_out)}" if left_out else "")


def _kinds(left_out: Mapping[str, int]) -> list[str]:
    """Return the most frequent kinds of files and folders that are left out, each with its number."""
    kinds = sorted(left_out, key=lambda kind: (-left_out[kind], kind))
    named = [f"{left_out[kind]:,} {kind}" for kind in kinds[:KINDS]]
    return named + ([f"and {len(kinds) - KINDS} more kinds"] if len(kinds) > KINDS else [])
