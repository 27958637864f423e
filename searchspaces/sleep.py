"""When should a brain mirror its weights: while it learns, at night, or before birth?

Paper     Akrout et al. (2019): mirror mode may alternate with learning ("as in sleep"), or come before it ("in utero").
          Each cell spends the same 330 mirror steps on the same schedule, 100 of them before learning in two cells.
Expected  Steps while learning keep B closest to W. At night, B is aligned for the first steps of an epoch and lags at
          its end, most while η is large. Before birth, B is aligned best at the start, and W then turns away from it:
          the angle grows until B is no better than a random one. The error should follow the angle.
Cost      4 cells and 3 seeds on digits, about 3 minutes on 2 cores.
Command   nowt ablate sleep
"""

from dataclasses import replace

from nowt import Backprop, Cell, Study
from nowt.config.recipes import digits
from searchspaces.five_rules import SHORT_RUN_MIRROR

STEPS_PER_EPOCH, EPOCHS = 161, 10  # of the recipe

INTERVAL = 7  # 23 mirror steps per epoch

BEFORE = 100  # mirror steps before learning, as many as by default

PHASES = {
    "while learning": replace(SHORT_RUN_MIRROR, warmup=BEFORE, interval=INTERVAL),
    "at night": replace(SHORT_RUN_MIRROR, warmup=BEFORE, interval=0, burst=STEPS_PER_EPOCH // INTERVAL),
    "before birth": replace(SHORT_RUN_MIRROR, warmup=BEFORE + EPOCHS * STEPS_PER_EPOCH // INTERVAL, interval=0),
}


def study() -> Study:
    """Compare three times for the same number of mirror samples, and bp; three seeds."""
    cells = (Cell("bp", digits(Backprop())), *(Cell(name, digits(rule)) for name, rule in PHASES.items()))
    question = "When should the weight mirror run: while the network learns, between epochs, or before learning?"
    return Study("sleep", question, cells, seeds=(0, 1, 2))
