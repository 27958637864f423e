"""Which λ does Kolen-Pollack need?

Paper     Kolen & Pollack (1994), Akrout et al. (2019), equations 16 and 17.
Finds     a good setting: TPE proposals, and successive halving from the epoch on by which kp could align.
Ranges    searchspaces/ranges.py, with reasons.
Expected  Σηλ/(1−μ) of 2 or more; how B starts is forgotten.
Cost      60 trials on digits, at most 10 epochs each: about 15 minutes on 2 cores.
Command   nowt search kolen_pollack
          nowt search kolen_pollack --recipe folder_resnet18 --data-dir DIR      (pictures of your own)
"""

from nowt.rules.kolen_pollack import KolenPollack
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.space import Budget, SearchSpace
from searchspaces.ranges import OWN, SHARED, base


def space() -> SearchSpace:
    """KolenPollack's own settings beside the shared ones, 60 trials."""
    cell = SearchCell("kp", base(KolenPollack()), SHARED + OWN["kp"])
    return SearchSpace("kolen_pollack", "Which λ does Kolen-Pollack need?", (cell,), Budget(60), reference="kp")
