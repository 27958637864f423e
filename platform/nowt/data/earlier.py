"""Data as earlier versions of nowt identified it: image folders by the names and sizes of their files."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.data.datasets import DATASETS, validation_indices
from nowt.data.decode import BadImage, has_earlier_pixels
from nowt.data.images import ImageFiles, digest_of
from nowt.data.threads import map_in_threads


@dataclass(frozen=True)
class DataIdentity:
    """A data set as this version identifies it, and as earlier ones did.

    Attributes:
        fingerprint: Today's fingerprint.
        images: The digest of the images without their split.
        earlier: The fingerprint that earlier versions gave. It differs from today's for image folders only.
        shape: Channels, height and width of the network's input.
        classes: The number of classes.
        newest: Time at which the newest image was written, in ms since 1970. 0 if ``earlier`` depends on every pixel.
        newest_name: Name of this image.
        other_pixels: Images that earlier versions decoded to other pixels.
    """

    fingerprint: str
    images: str
    earlier: str
    shape: tuple[int, int, int]
    classes: int
    newest: float = 0.0
    newest_name: str = ""
    other_pixels: tuple[str, ...] = ()


def identify(config: DataConfig, placement: Placement, split_seed: int | None = None) -> DataIdentity:
    """Return the identity of a data set with the split of ``split_seed`` (None: the fixed one).

    Of image folders, every file is opened; no image is decoded.

    Raises DataError if the images are not as expected.
    """
    spec = DATASETS[config.name]
    size = config.size or spec.size
    raw = spec.read(config, placement, size)
    held_out = validation_indices(raw, spec, placement, split_seed).tolist()
    shape = (len(spec.normalize.mean), size, size)
    fingerprint = digest_of(raw.content, held_out)
    images = digest_of(raw.content, validation_indices(raw, spec, placement).tolist())
    files = [part for part in (raw.train, raw.test) if isinstance(part, ImageFiles)]
    if not files:
        return DataIdentity(fingerprint, images, fingerprint, shape, raw.classes)
    earlier = digest_of(*(part.digest_of_names_and_sizes() for part in files), sorted(raw.skipped))
    facts = list(_file_facts(files, placement))
    newest, name = max((written, name) for name, written, _ in facts)
    others = tuple(name for name, _, same in facts if not same)
    return DataIdentity(fingerprint, images, digest_of(earlier, held_out), shape, raw.classes, newest, name, others)


def _file_facts(parts: list[ImageFiles], placement: Placement) -> Iterator[tuple[str, float, bool]]:
    """Yield name, time of writing in ms, and whether earlier versions gave the same pixels, for each image."""
    for part in parts:
        yield from map_in_threads(
            partial(_facts_of, part.root), part.names, placement.loaders, "reading the headers of images"
        )


def _facts_of(root: Path, name: str) -> tuple[str, float, bool]:
    path = root / name
    written = os.stat(path).st_mtime_ns / 1e6
    try:
        return name, written, has_earlier_pixels(path)
    except BadImage:
        return name, written, False
