"""Which λ does Kolen-Pollack need?

Paper     Kolen & Pollack (1994), Akrout et al. (2019), equations 16 and 17.
Method    TPE, with successive halving from the first epoch by which kp can align.
Ranges    See searchspaces/ranges.py for the ranges and their reasons.
Expected  Σηλ/(1−μ) of 2 or more; the initialization of B does not matter.
Cost      60 trials on digits of at most 10 epochs: about 15 minutes on 2 cores.
Command   nowt search kolen_pollack
          nowt search kolen_pollack --recipe folder_resnet18 --data-dir DIR      (on your images)
"""

from nowt import Budget, KolenPollack, SearchCell, SearchSpace
from searchspaces.ranges import RULE_PARAMS, SHARED_PARAMS, base_config


def space() -> SearchSpace:
    """Search the shared parameters and the initialization of B, 60 trials."""
    cell = SearchCell("kp", base_config(KolenPollack()), SHARED_PARAMS + RULE_PARAMS["kp"])
    return SearchSpace("kolen_pollack", "Which λ does Kolen-Pollack need?", (cell,), Budget(60), reference="kp")
