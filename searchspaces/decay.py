"""How much decay do Kolen-Pollack and the weight mirror need?

Paper     Akrout et al. (2019), equations 16 and 17: W − B shrinks by (1 − λ) a step, so without decay kp never forgets
          its start. The authors' own dense code ran without (weight_decay = 1, a factor).
Expected  kp at λ = 0 keeps |W − B|; its angle falls all the same as |W| grows. From 2e-3 on it aligns within epochs.
          wm's λ (of B) trades sampling noise, at large λ, for lag behind a moving W, at small λ.
Cost      10 cells and 3 seeds on digits, about 6 minutes on 2 cores.
Command   nowt ablate decay
"""

from dataclasses import replace

from nowt.config.recipes import digits
from nowt.config.run_config import RunConfig
from nowt.rules.backprop import Backprop
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.weight_mirror import WeightMirror
from nowt.studies.study import Cell, Study


def study() -> Study:
    """kp over the optimiser's λ, wm over its own, bp beside them; three seeds."""
    cells = [Cell("bp λ=0.01", digits(Backprop()))]
    cells += [Cell(f"kp λ={value:g}", _weight_decay(value)) for value in (0.0, 5e-4, 2e-3, 1e-2, 2e-2)]
    cells += [
        Cell(f"wm λ={value:g}", digits(WeightMirror(eta=max(value, 0.01), decay=value)))
        for value in (0.0, 0.01, 0.05, 0.2)
    ]
    question = "How much decay do Kolen-Pollack and the weight mirror need?"
    return Study("decay", question, tuple(cells), seeds=(0, 1, 2), reference="bp λ=0.01")


def _weight_decay(value: float) -> RunConfig:
    config = digits(KolenPollack())
    return replace(config, optim=replace(config.optim, weight_decay=value))
