"""Which η, λ, momentum and schedule work best for backprop?

Paper     None; backprop is the reference of every comparison.
Method    TPE, with successive halving from the first epoch by which kp can align.
Ranges    See searchspaces/ranges.py for the ranges and their reasons.
Expected  A broad optimum: errors within one point of the best over a decade of η.
Cost      60 trials on digits of at most 10 epochs: about 15 minutes on 2 cores.
Command   nowt search backprop
          nowt search backprop --recipe folder_resnet18 --data-dir DIR      (on your images)
"""

from nowt import Backprop, Budget, SearchCell, SearchSpace
from searchspaces.ranges import RULE_PARAMS, SHARED_PARAMS, base_config


def space() -> SearchSpace:
    """Search the shared parameters for backprop, 60 trials."""
    cell = SearchCell("bp", base_config(Backprop()), SHARED_PARAMS + RULE_PARAMS["bp"])
    return SearchSpace(
        "backprop", "Which η, λ, momentum and schedule work best for backprop?", (cell,), Budget(60), reference="bp"
    )
