"""The cells of a search that varied learning rate and decay."""

from analysis.frames.trials import Trials

RATE, DECAY = "optim.lr", "optim.weight_decay"


def mapped_cells(trials: Trials) -> list[str]:
    """The cells that varied learning rate and weight decay and have a finished trial."""
    finished = set(trials.frame.loc[trials.frame["state"] == "finished", "cell"])
    numbers = {cell: {s.name for s in varied if s.numeric} for cell, varied in trials.plan.settings.items()}
    return [cell for cell in trials.plan.cells if cell in finished and {RATE, DECAY} <= numbers[cell]]
