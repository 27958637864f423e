"""Compares a prepared copy with the published data set: missing, broken and unusual images."""

from collections.abc import Mapping, Sequence

from nowt.core.formatting import counted, first_few
from nowt.data.imagenet import published
from nowt.data.imagenet.class_folder import ClassRecord
from nowt.data.imagenet.published import Counts


def problems(records: Sequence[ClassRecord], expected: Mapping[str, int | None], counts: Counts) -> list[str]:
    """Return the differences from the published data set, one line each.

    ``expected``: the classes in the copy's own lists, and their training images if these are stated.
    """
    parts = {part: {r.wnid: r for r in records if r.part == part} for part in ("train", "val")}
    found = [f"{r.part}/{r.wnid}/{name} is broken: {why}" for r in records for name, why in r.broken.items()]
    found += _wrong_classes(parts, set(expected), counts)
    for wnid, record in parts["train"].items():
        wrong = _wrong_count(len(record.images), expected.get(wnid), counts)
        found += (
            [f"train/{wnid}: {counted(str(len(record.images)), 'intact image')}; published: {wrong}"] if wrong else []
        )
    for wnid, record in parts["val"].items():
        if len(record.images) != counts.val_per_class:
            found.append(
                f"val/{wnid}: {counted(str(len(record.images)), 'intact image')}; published: {counts.val_per_class}"
            )
    for part, wanted in (("train", counts.train), ("val", counts.val)):
        total = sum(len(record.images) for record in parts[part].values())
        found += [f"{part}: {counted(total, 'intact image')}; published: {wanted:,}"] if total != wanted else []
    return found


def _wrong_classes(parts: dict[str, dict[str, ClassRecord]], listed: set[str], counts: Counts) -> list[str]:
    train, val = set(parts["train"]), set(parts["val"])
    found = [f"{wnid} is only in {'train' if wnid in train else 'val'}" for wnid in sorted(train ^ val)]
    found += [f"{wnid} is in the list of classes but not in train" for wnid in sorted(listed - train)]
    if len(train) != counts.classes:
        found.append(f"train: {counted(len(train), 'class', 'classes')}; published: {counts.classes:,}")
    return found


def _wrong_count(count: int, expected: int | None, counts: Counts) -> str:
    """Return the published count if ``count`` differs from it, otherwise an empty text."""
    if expected is not None:
        return "" if count == expected else str(expected)
    fewest, most = counts.train_per_class
    return (
        "" if fewest <= count <= most else f"{fewest} per class" if fewest == most else f"{fewest} to {most} per class"
    )


def unusual_images(records: Sequence[ClassRecord]) -> list[str]:
    """Describe the images that are not gray or RGB JPEGs. They are stored unchanged and read as RGB."""
    odd = [(name, kind) for record in records for name, kind in record.odd.items()]
    lines = []
    for kind in ("CMYK JPEG", "PNG"):
        names = sorted(name for name, found in odd if found == kind and published.is_known(name, kind))
        lines += [f"{kind}, as published, read as RGB: {', '.join(names)}"] if names else []
    others = [f"{name} ({kind})" for name, kind in odd if not published.is_known(name, kind)]
    return lines + ([f"not as published, but read as RGB: {first_few(others, 20)}"] if others else [])
