"""Which magnitudes of B work best for sign-symmetry?

Paper     Liao et al. (2016), Xiao et al. (2018), Akrout et al. (2019): constant, redrawn and fixed
          magnitudes.
Method    TPE, with successive halving from the first epoch by which kp can align.
Ranges    See searchspaces/ranges.py for the ranges and their reasons.
Expected  Errors of all three within one point.
Cost      60 trials on digits of at most 10 epochs: about 15 minutes on 2 cores.
Command   nowt search sign_symmetry
          nowt search sign_symmetry --recipe folder_resnet18 --data-dir DIR      (on your images)
"""

from nowt import Budget, SearchCell, SearchSpace, SignSymmetry
from searchspaces.ranges import RULE_PARAMS, SHARED_PARAMS, base_config


def space() -> SearchSpace:
    """Search the shared parameters and the magnitudes of B, 60 trials."""
    cell = SearchCell("ss", base_config(SignSymmetry()), SHARED_PARAMS + RULE_PARAMS["ss"])
    return SearchSpace(
        "sign_symmetry", "Which magnitudes of B work best for sign-symmetry?", (cell,), Budget(60), reference="ss"
    )
