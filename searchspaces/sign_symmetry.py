"""Which magnitudes does sign-symmetry want?

Paper     Liao et al. (2016), Xiao et al. (2018), Akrout et al. (2019): constant, redrawn and fixed.
Finds     a good setting: TPE proposals, and successive halving from the epoch on by which kp could align.
Ranges    searchspaces/ranges.py, with reasons.
Expected  all three within a point.
Cost      60 trials on digits, at most 10 epochs each: about 15 minutes on 2 cores.
Command   nowt search sign_symmetry
          nowt search sign_symmetry --recipe folder_resnet18 --data-dir DIR      (pictures of your own)
"""

from nowt.rules.sign_symmetry import SignSymmetry
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.space import Budget, SearchSpace
from searchspaces.ranges import OWN, SHARED, base


def space() -> SearchSpace:
    """SignSymmetry's own settings beside the shared ones, 60 trials."""
    cell = SearchCell("ss", base(SignSymmetry()), SHARED + OWN["ss"])
    return SearchSpace(
        "sign_symmetry", "Which magnitudes does sign-symmetry want?", (cell,), Budget(60), reference="ss"
    )
