"""Images of equal content in a data set. They are reported and kept: published data sets such as ImageNet have some."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nowt.data.decode import Bytes
from nowt.data.images import ImageFiles
from nowt.data.subsets import Ints

EXAMPLES = 2  # of each kind

SPLITS = {
    "train": "training split",
    "val": "validation split",
    "test": "test split",
    "both": "training and validation splits",  # if each seed draws its own
}


@dataclass(frozen=True, eq=False)
class Part:
    """The images of one split: names (FOLDER/CLASS/...), digests of their content, (N, 16), and the class of each."""

    split: str  # of SPLITS; images of val are in the folder train, those of test often in the folder val
    names: Sequence[str]
    digests: Bytes
    classes: Sequence[object] | Ints

    @classmethod
    def of(cls, split: str, files: ImageFiles) -> "Part":
        """Return the part of a split's files."""
        return cls(split, files.names, files.digests, files.labels)

    def __str__(self) -> str:
        """Return the name of the split, with the folder of its images if that has another name."""
        folder = self.names[0].partition("/")[0]
        return f"the {SPLITS[self.split]}{f' (folder {folder})' if folder != self.split else ''}"


def describe_duplicates(parts: Sequence[Part]) -> str:
    """Return a line that counts the images whose content occurs earlier in the same split or in an earlier one, with
    two examples of each kind; empty if there are none."""
    digests = np.concatenate([part.digests for part in parts])
    kinds: dict[str, list[str]] = {}
    other_class = 0
    for copy, original in _copies(digests).items():
        (part, i), (first, k) = _place(parts, copy), _place(parts, original)
        kind = f"within {part}" if part is first else f"of {part} also in {first}"
        kinds.setdefault(kind, []).append(f"{part.names[i]} = {first.names[k]}")
        other_class += bool(part.classes[i] != first.classes[k])
    if not kinds:
        return ""
    total = sum(map(len, kinds.values()))
    counted = "; ".join(f"{len(pairs):,} {kind} ({_some(pairs)})" for kind, pairs in kinds.items())
    head = f"{total:,} of {len(digests):,} images {'is a copy of another' if total == 1 else 'are copies of others'}"
    return f"{head}, and {'is' if total == 1 else 'are'} kept: {counted}{_other_classes(other_class, total)}"


def _other_classes(number: int, total: int) -> str:
    """Return how many of ``total`` copies have another class than their originals; empty if none has."""
    which = "it" if total == 1 else f"{number:,} of the {total:,}"
    labels = "has another class than its original" if number == 1 else "have other classes than their originals"
    return f"; {which} {labels}" if number else ""


def _place(parts: Sequence[Part], index: int) -> tuple[Part, int]:
    """Return the part that contains the image ``index`` of all parts, and its index there."""
    for part in parts:
        if index < len(part.names):
            return part, index
        index -= len(part.names)
    raise IndexError(index)


def _copies(digests: Bytes) -> dict[int, int]:
    """Return the index of the first image with the same content for each image that is not the first."""
    keys = np.ascontiguousarray(digests).view(np.uint64)[:, 0]  # half a digest: few other candidates are equal in it
    order = np.argsort(keys, kind="stable")
    equal = keys[order][1:] == keys[order][:-1]
    candidates = np.sort(order[np.append(equal, False) | np.append(False, equal)])
    first: dict[bytes, int] = {}
    found = ((i, first.setdefault(digests[i].tobytes(), i)) for i in candidates.tolist())
    return {i: original for i, original in found if i != original}


def _some(pairs: Sequence[str]) -> str:
    return ", ".join(pairs[:EXAMPLES]) + (", ..." if len(pairs) > EXAMPLES else "")
