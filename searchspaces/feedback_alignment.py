"""Which settings work best for feedback alignment, and does the size of B matter?

Paper     Lillicrap et al. (2016); Bartunov et al. (2018) tuned it extensively and still found a wide gap.
Method    TPE, with successive halving from the first epoch by which kp can align.
Ranges    See searchspaces/ranges.py for the ranges and their reasons.
Expected  A smaller η than backprop; a larger |B| allows a smaller η.
Cost      60 trials on digits of at most 10 epochs: about 15 minutes on 2 cores.
Command   nowt search feedback_alignment
          nowt search feedback_alignment --recipe folder_resnet18 --data-dir DIR      (on your images)
"""

from nowt import Budget, FeedbackAlignment, SearchCell, SearchSpace
from searchspaces.ranges import RULE_PARAMS, SHARED_PARAMS, base_config


def space() -> SearchSpace:
    """Search the shared parameters and the initialization of B, 60 trials."""
    cell = SearchCell("fa", base_config(FeedbackAlignment()), SHARED_PARAMS + RULE_PARAMS["fa"])
    return SearchSpace(
        "feedback_alignment",
        "Which settings work best for feedback alignment, and does the size of B matter?",
        (cell,),
        Budget(60),
        reference="fa",
    )
