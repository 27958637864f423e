"""Which settings does feedback alignment want, and does the size of B matter?

Paper     Lillicrap et al. (2016); Bartunov et al. (2018) tuned it at length and kept a wide gap.
Finds     a good setting: TPE proposals, and successive halving from the epoch on by which kp could align.
Ranges    searchspaces/ranges.py, with reasons.
Expected  a smaller η than backprop; |B| trades with η.
Cost      60 trials on digits, at most 10 epochs each: about 15 minutes on 2 cores.
Command   nowt search feedback_alignment
          nowt search feedback_alignment --recipe folder_resnet18 --data-dir DIR      (pictures of your own)
"""

from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.space import Budget, SearchSpace
from searchspaces.ranges import OWN, SHARED, base


def space() -> SearchSpace:
    """FeedbackAlignment's own settings beside the shared ones, 60 trials."""
    cell = SearchCell("fa", base(FeedbackAlignment()), SHARED + OWN["fa"])
    return SearchSpace(
        "feedback_alignment",
        "Which settings does feedback alignment want, and does the size of B matter?",
        (cell,),
        Budget(60),
        reference="fa",
    )
