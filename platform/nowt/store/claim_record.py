"""What a study file records about its claim: when it was first recorded as it is, and which seeds were planned then."""

from typing import Any, Protocol


class Recorded(Protocol):
    """What is read of a ``StudyFile``."""

    @property
    def seeds(self) -> list[int]:
        """All seeds of the study."""

    @property
    def is_search(self) -> bool:
        """Whether it is that of a search."""

    @property
    def claim(self) -> dict[str, Any] | None:
        """The claim as JSON data."""

    @property
    def claimed(self) -> int | None:
        """When it was first recorded as it is."""

    @property
    def claimed_seeds(self) -> list[int] | None:
        """The seeds that were planned then."""


def claim_record(known: Recorded | None, content: dict[str, Any], seeds: list[int], now: int) -> dict[str, Any]:
    """Return the fields to write beside the claim of ``content``: those of the study file that is ``known``, unless its
    claim is another one. Then, ``seeds`` are planned, and the time is ``now`` (milliseconds since 1970).

    A search plans no seeds of the picks that its claim is about, so that only the time is recorded.
    """
    if "claim" not in content:
        return {}
    same = known is not None and known.claim == content["claim"] and known.claimed is not None
    record = {"claimed": known.claimed if known is not None and same else now}
    if "sampler" in content:
        return record
    earlier = (known.claimed_seeds or known.seeds) if known is not None and same else None
    return {**record, "claimed_seeds": earlier or seeds}


def merged_claim_record(ours: Recorded, theirs: Recorded) -> dict[str, Any]:
    """Return the fields for the claim that a merge of two files of one study keeps: those of its first record."""
    if ours.claim is None:
        return {"claimed": theirs.claimed, "claimed_seeds": theirs.claimed_seeds}
    both = [file for file in (ours, theirs) if file.claim == ours.claim and file.claimed is not None]
    first = min(both, key=lambda file: file.claimed or 0, default=None)
    if first is None:
        return {"claimed": None, "claimed_seeds": None}
    planned = None if first.is_search else first.claimed_seeds or first.seeds  # an earlier version recorded no seeds
    return {"claimed": first.claimed, "claimed_seeds": planned}
