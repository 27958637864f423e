"""How much decay do Kolen-Pollack and the weight mirror need?

Paper     Akrout et al. (2019), equations 16 and 17: W − B shrinks by (1 − λ) a step, so without decay kp never forgets
          the initialization. The authors' code for dense networks used none (weight_decay = 1, a factor).
Expected  With λ = 0, kp keeps |W − B|, but its angle still falls, because |W| grows. From λ = 2e-3 on, it aligns
          within a few epochs. In wm, a large λ (of B) gives sampling noise, a small λ a lag behind the changing W.
Cost      10 cells and 3 seeds on digits, about 6 minutes on 2 cores.
Command   nowt ablate decay
"""

from dataclasses import replace

from nowt import Backprop, Cell, KolenPollack, RunConfig, Study, WeightMirror
from nowt.config.recipes import digits


def study() -> Study:
    """Compare five values of the optimizer's λ for kp, four of wm's own λ, and bp; three seeds."""
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
