"""Compares a prepared copy with the published data set: missing, broken and unusual images."""

from collections.abc import Sequence

from nowt.data.imagenet import published
from nowt.data.imagenet.class_folder import ClassRecord


def problems(records: Sequence[ClassRecord], expected: dict[str, int]) -> list[str]:
    """Return the differences from the published data set, one line each.

    ``expected``: training images per class, where the copy's own lists state them.
    """
    parts = {part: {r.wnid: r for r in records if r.part == part} for part in ("train", "val")}
    found = [f"{r.part}/{r.wnid}/{name} is broken: {why}" for r in records for name, why in r.broken.items()]
    found += _wrong_classes(parts, set(expected))
    for wnid, record in parts["train"].items():
        wrong = _wrong_count(len(record.images), expected.get(wnid))
        found += [f"train/{wnid}: {len(record.images)} intact images; published: {wrong}"] if wrong else []
    for wnid, record in parts["val"].items():
        if len(record.images) != published.VAL_PER_CLASS:
            found.append(f"val/{wnid}: {len(record.images)} intact images; published: {published.VAL_PER_CLASS}")
    for part, wanted in (("train", published.TRAIN), ("val", published.VAL)):
        total = sum(len(record.images) for record in parts[part].values())
        found += [f"{part}: {total:,} intact images; published: {wanted:,}"] if total != wanted else []
    return found


def _wrong_classes(parts: dict[str, dict[str, ClassRecord]], listed: set[str]) -> list[str]:
    train, val = set(parts["train"]), set(parts["val"])
    found = [f"{wnid} is only in {'train' if wnid in train else 'val'}" for wnid in sorted(train ^ val)]
    found += [f"{wnid} is in the list of classes but not in train" for wnid in sorted(listed - train)]
    if len(train) != published.CLASSES:
        found.append(f"train: {len(train):,} classes; published: {published.CLASSES:,}")
    return found


def _wrong_count(count: int, expected: int | None) -> str:
    """Return the published count if ``count`` differs from it, otherwise an empty text."""
    if expected is not None:
        return "" if count == expected else str(expected)
    fewest, most = published.MIN_PER_CLASS, published.MAX_PER_CLASS
    return "" if fewest <= count <= most else f"{fewest} to {most} per class"


def unusual_images(records: Sequence[ClassRecord]) -> list[str]:
    """Describe the images that are not gray or RGB JPEGs. They are stored unchanged and read as RGB."""
    odd = [(name, kind) for record in records for name, kind in record.odd.items()]
    lines = []
    for kind in ("CMYK JPEG", "PNG"):
        names = sorted(name for name, found in odd if found == kind and published.is_known(name, kind))
        lines += [f"{kind}, as published, read as RGB: {', '.join(names)}"] if names else []
    others = [f"{name} ({kind})" for name, kind in odd if not published.is_known(name, kind)]
    return lines + ([f"not as published, but read as RGB: {_some(others)}"] if others else [])


def _some(names: list[str], limit: int = 20) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
