"""Does the weight mirror's tuning carry over to a deeper net?

Paper     Kunin et al. (2020): weight mirrors need "laborious tuning that does not transfer across network
          architecture". Without normalisation, as in Akrout et al. (2019), a layer's gain grows with the positions of
          its map, so that one η fits no two nets; divided by the taps that each weight saw, it should not.
Cells     ResNet-18 with normalize none, and with taps; the same other ranges, trials and schedule.
Ranges    searchspaces/ranges.py; without normalisation the gain η/λ lies one to six decades lower, since maps of some
          hundred positions and batches of samples multiply it.
Stopping  first compared at epoch 4, before kp could align under this schedule: only trials of one cell are compared,
          all of them wm, whose mirror is much faster, and most of whose draws begin with a B aligned before learning.
Expected  as good on ResNet-18; on ResNet-50 the settings found with taps hold, those found without do not.
Cost      2 cells x 20 trials of at most 12 epochs of ResNet-18, and 24 runs of ResNet-50: a night on one GPU.
Command   nowt search mirror_transfer --data-dir DIR
          nowt transfer mirror_transfer --to folder_resnet18 --model.name resnet50 --data-dir DIR
"""

from dataclasses import replace
from typing import Literal

from nowt.config.recipes import folder_resnet18
from nowt.rules.weight_mirror import WeightMirror
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Param, Range
from nowt.studies.search.space import Budget, EarlyStopping, SearchSpace
from searchspaces.ranges import MIRROR, SHARED, in_epochs

UNNORMALIZED = Range("rule.eta", 1e-6, 1e-1, log=True, times="rule.decay")


def space() -> SearchSpace:
    """Weight mirror without normalisation and by taps, 20 trials each."""
    cells = (_cell("none"), _cell("taps"))
    question = "Does the weight mirror's tuning carry over to a deeper net?"
    return SearchSpace(
        "mirror_transfer", question, cells, Budget(20), stopping=EarlyStopping(first_rung=4), reference="wm taps"
    )


def _cell(normalize: Literal["none", "taps"]) -> SearchCell:
    config = replace(folder_resnet18(WeightMirror(normalize=normalize)), test=False)
    params: tuple[Param, ...] = in_epochs(SHARED, config.epochs) + MIRROR
    if normalize == "none":
        params = tuple(UNNORMALIZED if param.path == "rule.eta" else param for param in params)
    return SearchCell(f"wm {normalize}", config, params)
