"""The checkpoints that a run keeps (``Placement.keep``, ``--keep-checkpoints``).

Kept checkpoints have a second name, ``epoch-000010.pt``, and are never deleted. Beside them are the newest ones, from
which a run resumes.
"""

from dataclasses import replace

from nowt.config.placement import Keep, Placement
from nowt.core.errors import ConfigError, require
from nowt.core.formatting import counted
from nowt.training import checkpoint


def parse_keep(text: str | None) -> Keep | None:
    """Read the value of ``--keep-checkpoints``. Raises ConfigError."""
    names: dict[str | None, Keep | None] = {None: None, "last": "last", "all": "all"}
    if text is None or text in names:
        return names[text]
    epochs = text.split(",")
    if not all(epoch.strip().isdecimal() for epoch in epochs):
        raise ConfigError(f"--keep-checkpoints is {text!r}: it must be last, all, or epochs such as 0,10,50")
    return tuple(sorted({int(epoch) for epoch in epochs}))


def keep_to_text(keep: Keep) -> str:
    """Return ``keep`` as text for ``--keep-checkpoints``."""
    return keep if isinstance(keep, str) else ",".join(map(str, keep))


def with_retention(placement: Placement, keep: Keep, epochs: int) -> Placement:
    """Return ``placement`` with the study's ``keep``, unless it already has one.

    ``epochs`` is the number of epochs of the longest run. Raises ConfigError for an epoch that no run reaches.
    """
    kept = keep if placement.keep is None else placement.keep
    check_keep(kept, epochs)
    return replace(placement, keep=kept)


def check_keep(keep: Keep | None, epochs: int) -> None:
    """Raise ConfigError if ``keep`` names an epoch that no run reaches."""
    last = 0 if keep is None or isinstance(keep, str) else max(keep)
    require(
        last <= epochs,
        f"cannot keep the checkpoint of epoch {last}: no run has more than {counted(epochs, 'epoch')}; choose other "
        "epochs (--keep-checkpoints, Placement.keep) or change the study",
    )


def limit_keep(keep: Keep, epochs: int) -> Keep:
    """Return ``keep`` without the epochs beyond ``epochs``; ``"last"`` if none is left."""
    return keep if isinstance(keep, str) else tuple(epoch for epoch in keep if epoch <= epochs) or "last"


def kept_epochs(keep: Keep | None, epochs: int) -> list[int]:
    """Return the epochs up to ``epochs`` that ``keep`` names. The last checkpoint is always kept in addition."""
    return [epoch for epoch in range(epochs + 1) if checkpoint.is_kept(keep, epoch)]


def max_checkpoints(keep: Keep | None, epochs: int) -> int:
    """Return the largest number of checkpoints of one run: the kept ones, and the two newest, to resume from."""
    return len(kept_epochs(keep, epochs)) + 2
