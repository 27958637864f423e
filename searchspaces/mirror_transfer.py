"""Do the weight mirror's settings transfer to a deeper network?

Paper     Kunin et al. (2020): weight mirrors need "laborious tuning that does not transfer across network
          architecture". Without normalization, as in Akrout et al. (2019), the gain of a layer grows with the number
          of positions in its feature map, so that two networks need a different η. Normalization by the number of
          taps of each weight should remove this dependence.
Method    ResNet-18 with normalize="none" and with normalize="taps"; the same other ranges, trials and schedule.
Ranges    See searchspaces/ranges.py. Without normalization, the gain η/λ is one to six decades lower, because several
          hundred positions and the samples of a batch multiply it.
Stopping  The first rung is epoch 4, before kp could align under this schedule. Trials are only compared with trials of
          their own cell. They all use wm, which aligns much faster; most of them align B before learning.
Expected  Equal errors on ResNet-18. On ResNet-50, the settings found with "taps" transfer, the others do not.
Cost      2 cells x 20 trials of at most 12 epochs of ResNet-18, and 24 runs of ResNet-50: a night on one GPU.
Command   nowt search mirror_transfer --data-dir DIR
          nowt transfer mirror_transfer --to folder_resnet18 --model.name resnet50 --data-dir DIR
"""

from dataclasses import replace
from typing import Literal

from nowt import Budget, Choice, EarlyStopping, Range, SearchCell, SearchSpace, WeightMirror
from nowt.config.recipes import folder_resnet18
from searchspaces.ranges import MIRROR_PARAMS, SHARED_PARAMS, rescale_epochs

UNNORMALIZED = Range("rule.eta", 1e-6, 1e-1, log=True, times="rule.decay")


def space() -> SearchSpace:
    """Search weight mirror without normalization and with normalization by taps, 20 trials each."""
    cells = (_cell("none"), _cell("taps"))
    question = "Do the weight mirror's settings transfer to a deeper network?"
    return SearchSpace(
        "mirror_transfer", question, cells, Budget(20), stopping=EarlyStopping(first_rung=4), reference="wm taps"
    )


def _cell(normalize: Literal["none", "taps"]) -> SearchCell:
    config = replace(folder_resnet18(WeightMirror(normalize=normalize)), test=False)
    params: tuple[Range | Choice, ...] = rescale_epochs(SHARED_PARAMS, config.epochs) + MIRROR_PARAMS
    if normalize == "none":
        params = tuple(UNNORMALIZED if param.path == "rule.eta" else param for param in params)
    return SearchCell(f"wm {normalize}", config, params)
