"""Which settings of mirror mode work best for the weight mirror?

Paper     Akrout et al. (2019), section "mirror mode"; Kunin et al. (2020) on its sensitivity.
Method    TPE, with successive halving from the first epoch by which kp can align.
Ranges    See searchspaces/ranges.py for the ranges and their reasons.
Expected  A gain near 1, and a memory as short as the noise allows.
Cost      60 trials on digits of at most 10 epochs: about 15 minutes on 2 cores.
Command   nowt search weight_mirror
          nowt search weight_mirror --recipe folder_resnet18 --data-dir DIR      (on your images)
"""

from nowt import Budget, SearchCell, SearchSpace, WeightMirror
from searchspaces.ranges import RULE_PARAMS, SHARED_PARAMS, base_config


def space() -> SearchSpace:
    """Search the shared parameters and mirror mode, 60 trials."""
    cell = SearchCell("wm", base_config(WeightMirror()), SHARED_PARAMS + RULE_PARAMS["wm"])
    return SearchSpace(
        "weight_mirror",
        "Which settings of mirror mode work best for the weight mirror?",
        (cell,),
        Budget(60),
        reference="wm",
    )
