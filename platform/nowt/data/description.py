"""A line that describes a data set: its images by split, its classes, and the files that are left out."""

from collections.abc import Mapping

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.formatting import counted
from nowt.data.class_folders import is_other_format, other_formats
from nowt.data.datasets import BUILTIN, DatasetSplits

KINDS = 5  # of files that are left out, which are named in addition to images of other formats


def describe_data(config: DataConfig, placement: Placement, data: DatasetSplits) -> str:
    """Return the line. The numbers are those of the images that are used, after ``train_limit`` and ``score_limit``."""
    place = "" if config.name in BUILTIN else f" in {placement.data}"
    trained = "" if config.hold_out else " (trained on as well)"
    counts = [f"{len(data.train):,} training", f"{len(data.val):,} validation{trained}"]
    counts += [] if data.test is None else [f"{len(data.test):,} test"]
    images = f"{', '.join(counts[:-1])} and {counts[-1]} images of {data.classes:,} classes"
    broken = [counted(len(data.skipped), "broken or unsupported image")] if data.skipped else []
    left_out = [*broken, *_kinds(data.left_out)]
    return f"data {config.name}{place}: {images}" + (f"; left out: {', '.join(left_out)}" if left_out else "")


def _kinds(left_out: Mapping[str, int]) -> list[str]:
    """Return the images of other formats, then the most frequent kinds of other files and folders, with their
    numbers."""
    others = [kind for kind in left_out if not is_other_format(kind)]
    kinds = sorted(others, key=lambda kind: (-left_out[kind], kind))
    named = [*filter(None, [other_formats(left_out)]), *(f"{left_out[kind]:,} {kind}" for kind in kinds[:KINDS])]
    return named + ([f"and {counted(len(kinds) - KINDS, 'more kind')}"] if len(kinds) > KINDS else [])
