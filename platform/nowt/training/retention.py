"""Which checkpoints a run keeps. Those of chosen epochs get a name of their own, ``epoch-000010.pt``, beside the newest
ones that a run goes on from, and nothing takes them away."""

from dataclasses import replace

from nowt.config.placement import Keep, Placement
from nowt.core.errors import ConfigError, require
from nowt.training import checkpoint


def parse_keep(text: str | None) -> Keep | None:
    """``--keep-checkpoints`` as it is typed. Raises ConfigError."""
    names: dict[str | None, Keep | None] = {None: None, "last": "last", "all": "all"}
    if text is None or text in names:
        return names[text]
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise ConfigError(f"--keep-checkpoints is {text!r}: it must be last, all, or epochs such as 0,10,50")
    return tuple(sorted({int(word) for word in words}))


def keep_to_text(keep: Keep) -> str:
    """As it can be typed."""
    return keep if isinstance(keep, str) else ",".join(map(str, keep))


def with_retention(placement: Placement, keep: Keep, epochs: int) -> Placement:
    """``placement`` with its own ``keep`` if it has one, else with the study's ``keep``.

    ``epochs`` is the number of epochs of the longest run. Raises ConfigError for an epoch that no run reaches.
    """
    kept = keep if placement.keep is None else placement.keep
    check_keep(kept, epochs)
    return replace(placement, keep=kept)


def check_keep(keep: Keep | None, epochs: int) -> None:
    """Raise ConfigError where a checkpoint is to be kept that no run comes to."""
    last = 0 if keep is None or isinstance(keep, str) else max(keep)
    require(
        last <= epochs,
        f"checkpoints are to be kept of epoch {last}, and no run has more than {epochs} epochs: name others with "
        "--keep-checkpoints, or in the study",
    )


def limit_keep(keep: Keep, epochs: int) -> Keep:
    """What is left of it for runs of so many epochs."""
    return keep if isinstance(keep, str) else tuple(epoch for epoch in keep if epoch <= epochs) or "last"


def kept_epochs(keep: Keep | None, epochs: int) -> list[int]:
    """The epochs up to ``epochs`` whose checkpoints are to be kept, but for the last, which always is."""
    return [epoch for epoch in range(epochs + 1) if checkpoint.is_kept(keep, epoch)]


def max_checkpoints(keep: Keep | None, epochs: int) -> int:
    """How many checkpoints of a run there are at most at a time: those kept, and two that it could go on from."""
    return len(kept_epochs(keep, epochs)) + 2
