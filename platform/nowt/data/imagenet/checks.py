"""How a copy stands to the published pictures: what is missing or broken, and what is odd but known."""

from collections.abc import Sequence

from nowt.data.imagenet import expected as published
from nowt.data.imagenet.class_folder import Record


def problems(records: Sequence[Record], expected: dict[str, int]) -> list[str]:
    """What is not as published, one line each; ``expected`` are the training pictures a class, if they are known."""
    parts = {part: {r.wnid: r for r in records if r.part == part} for part in ("train", "val")}
    found = [f"{r.part}/{r.wnid}/{name} is broken: {why}" for r in records for name, why in r.broken.items()]
    found += _classes(parts, set(expected))
    for wnid, record in parts["train"].items():
        wrong = _wrong_count(len(record.pictures), expected.get(wnid))
        found += [f"train/{wnid}: whole pictures {len(record.pictures)}, published are {wrong}"] if wrong else []
    for wnid, record in parts["val"].items():
        if len(record.pictures) != published.VAL_A_CLASS:
            found.append(f"val/{wnid}: whole pictures {len(record.pictures)}, published are {published.VAL_A_CLASS}")
    for part, wanted in (("train", published.TRAIN), ("val", published.VAL)):
        total = sum(len(record.pictures) for record in parts[part].values())
        found += [f"{part}: whole pictures {total:,}, published are {wanted:,}"] if total != wanted else []
    return found


def _classes(parts: dict[str, dict[str, Record]], named: set[str]) -> list[str]:
    train, val = set(parts["train"]), set(parts["val"])
    found = [f"{w} is in {'train' if w in train else 'val'} only" for w in sorted(train ^ val)]
    found += [f"{w} is in the list of classes, but not in train" for w in sorted(named - train)]
    if len(train) != published.CLASSES:
        found.append(f"train: classes {len(train):,}, published are {published.CLASSES:,}")
    return found


def _wrong_count(count: int, expected: int | None) -> str:
    """What was published, where ``count`` is not that."""
    if expected is not None:
        return "" if count == expected else str(expected)
    return "" if published.FEWEST <= count <= published.MOST else f"{published.FEWEST} to {published.MOST} a class"


def oddities(records: Sequence[Record]) -> list[str]:
    """The pictures of other kinds, by name; all are left as they are, and read as RGB."""
    odd = [(name, kind) for record in records for name, kind in record.odd.items()]
    lines = []
    for kind in ("CMYK JPEG", "PNG"):
        names = sorted(name for name, found in odd if found == kind and published.known(name, kind))
        lines += [f"{kind}, as published, read as RGB: {', '.join(names)}"] if names else []
    others = [f"{name} ({kind})" for name, kind in odd if not published.known(name, kind)]
    return lines + ([f"not as published, but read as RGB: {_some(others)}"] if others else [])


def _some(names: list[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
