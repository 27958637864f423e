"""Rules that turn transport round: they change the network so that it matches B."""

import torch

from nowt.evaluation.certify.feedback_updates import check_feedback_updates
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView
from tests.evaluation.cheats.cheat import Cheat
from tests.support.stolen_layers import stolen_layer, stolen_testbed


class WritesWeights(FeedbackAlignment):
    """Moves W towards B, through NumPy."""

    def after_step(self, layer: LayerView, step: int) -> None:
        weight = stolen_layer().weight.detach().numpy()
        weight += 0.1 * (layer.feedback.detach().numpy() - weight)


class WritesBiases(FeedbackAlignment):
    """Moves a bias by the sums of B's rows."""

    @torch.no_grad()
    def after_step(self, layer: LayerView, step: int) -> None:
        bias = stolen_layer().bias
        if bias is not None:
            bias.data.add_(layer.feedback.flatten(1).sum(1), alpha=0.01)


class WritesNorms(FeedbackAlignment):
    """Changes γ of every batch norm."""

    def after_step(self, layer: LayerView, step: int) -> None:
        for module in stolen_testbed().model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.data.mul_(1.01)


class WritesMomentum(FeedbackAlignment):
    """Adds B to W's momentum."""

    def after_step(self, layer: LayerView, step: int) -> None:
        state = stolen_testbed().optimizer.state[stolen_layer().weight]
        state["momentum_buffer"].add_(layer.feedback.detach(), alpha=0.01)


CHEATS = [
    Cheat(rule(), check_feedback_updates, "untouched")
    for rule in (WritesWeights, WritesBiases, WritesNorms, WritesMomentum)
]
