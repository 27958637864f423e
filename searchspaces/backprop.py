"""Which η, λ, momentum and schedule does backprop want?

Paper     The reference of every comparison; no paper.
Finds     a good setting: TPE proposals, and successive halving from the epoch on by which kp could align.
Ranges    searchspaces/ranges.py, with reasons.
Expected  broad: within a point of the best over a decade of η.
Cost      60 trials on digits, at most 10 epochs each: about 15 minutes on 2 cores.
Command   nowt search backprop
          nowt search backprop --recipe folder_resnet18 --data-dir DIR      (pictures of your own)
"""

from nowt.rules.backprop import Backprop
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.space import Budget, SearchSpace
from searchspaces.ranges import OWN, SHARED, base


def space() -> SearchSpace:
    """Backprop's own settings beside the shared ones, 60 trials."""
    cell = SearchCell("bp", base(Backprop()), SHARED + OWN["bp"])
    return SearchSpace(
        "backprop", "Which η, λ, momentum and schedule does backprop want?", (cell,), Budget(60), reference="bp"
    )
