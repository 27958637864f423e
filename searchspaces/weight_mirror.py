"""Which mirror mode does the weight mirror want?

Paper     Akrout et al. (2019), section "mirror mode"; Kunin et al. (2020) on its sensitivity.
Finds     a good setting: TPE proposals, and successive halving from the epoch on by which kp could align.
Ranges    searchspaces/ranges.py, with reasons.
Expected  gain near 1, memory as short as the noise allows.
Cost      60 trials on digits, at most 10 epochs each: about 15 minutes on 2 cores.
Command   nowt search weight_mirror
          nowt search weight_mirror --recipe folder_resnet18 --data-dir DIR      (pictures of your own)
"""

from nowt.rules.weight_mirror import WeightMirror
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.space import Budget, SearchSpace
from searchspaces.ranges import OWN, SHARED, base


def space() -> SearchSpace:
    """WeightMirror's own settings beside the shared ones, 60 trials."""
    cell = SearchCell("wm", base(WeightMirror()), SHARED + OWN["wm"])
    return SearchSpace(
        "weight_mirror", "Which mirror mode does the weight mirror want?", (cell,), Budget(60), reference="wm"
    )
