"""How a search's best settings are confirmed with new seeds. Data only; ``confirm`` runs it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from nowt.core.errors import require
from nowt.core.fields import check_fields, make_plain

SEEDS = 3


@dataclass(frozen=True)
class Confirm:
    """How the best settings of a search are chosen and scored with new seeds, stated before the search.

    The best ``settings`` of each cell are trained with ``seeds`` seeds that the search has not used, and scored on the
    validation images. The setting with the lowest mean error is the cell's pick. Each pick is trained again and scored
    on the test images.

    Args:
        settings: Number of settings per cell, 1 or more. With 1, there is nothing to choose: the best setting of the
            search is the pick, and only the picks are trained.
        seeds: Number of seeds, 1 or more. With ``settings=1``, the seeds of the picks. Default: 3.
        pick_seeds: Number of seeds of the picks, 1 or more. Neither the search nor the confirmation has used them, so
            that the choice among the settings does not bias the errors of the picks. Recommended to compare rules: 8 or
            more. Default: ``None``, the seeds of the confirmation.
        test: When the picks are scored on the test images. ``True`` (default): at every epoch. ``"last"``: once, after
            the last epoch.

    Raises:
        ConfigError: If a number is no integer of at least 1, ``seeds`` has no effect, or ``test`` has another value.

    Example:
        >>> from nowt import Confirm
        >>> Confirm(settings=2, seeds=2, pick_seeds=8).runs(cells=5)
        (20, 40)
    """

    settings: int
    seeds: int = SEEDS
    pick_seeds: int | None = None
    test: Literal[True, "last"] = True

    def __post_init__(self) -> None:
        make_plain(self)
        check_fields(self, "confirm.")
        require(self.test is True or self.test == "last", f"confirm.test is {self.test!r}: it must be True or 'last'")
        for name in ("settings", "seeds", "pick_seeds"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"confirm.{name} is {value}: it must be at least 1")
        unused = self.settings == 1 and self.pick_seeds is not None and self.seeds != SEEDS
        no_effect = f"has no effect with settings=1 and pick_seeds={self.pick_seeds}: leave it out"
        require(not unused, f"confirm.seeds {no_effect}")

    def runs(self, cells: int, trials: int | None = None) -> tuple[int, int]:
        """Return the number of runs that choose the picks of this many cells, and the number of runs of the picks.

        ``trials`` is the number of trials per cell, if known: there are no more settings than that.
        """
        settings = min(self.settings, trials or self.settings)
        chosen = 0 if self.settings == 1 else cells * settings * self.seeds
        return chosen, cells * (self.pick_seeds or self.seeds)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON data."""
        return asdict(self)
