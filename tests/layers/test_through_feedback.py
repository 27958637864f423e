"""δ angles that are 0° under every rule, because the error meets no layer with a B on its way, enter no aggregate."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.config.run_config import ModelConfig
from nowt.layers.alignment import measure_alignment
from nowt.layers.attach import attach
from nowt.models.registry import build_model
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.store.records import Layer, layers_through_feedback, values_over_layers
from tests.support.nets import dense_net, normal


def measured(model: nn.Module, rule: FeedbackAlignment, x: Tensor) -> tuple[Layer, ...]:
    layers = attach(model, rule, example=x)
    return measure_alignment(model, layers, x, torch.arange(len(x)) % 3, F.cross_entropy)


def free(layers: tuple[Layer, ...]) -> set[str]:
    return {layer.name for layer in layers if layer.through_feedback is False}


class TwoHeads(nn.Module):
    """A network whose output is the sum of two layers, at two depths."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.middle = nn.Linear(6, 8), nn.Linear(8, 8)
        self.skip, self.head = nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.body(x))
        found: Tensor = self.head(torch.relu(self.middle(hidden))) + self.skip(hidden)
        return found


def test_with_backprop_in_the_last_layer_the_last_block_has_no_delta_angle_to_count() -> None:
    model = build_model(ModelConfig(name="tiny_resnet"), (1, 8, 8), 5, 0)
    found = measured(model, FeedbackAlignment(last_layer="backprop"), normal(6, 1, 8, 8))
    assert free(found) == {"layer3.0.conv2", "layer3.0.downsample.0"}
    assert {layer.delta_angle for layer in found if layer.through_feedback is False} == {0.0}
    assert min(values_over_layers("delta_angle", found)) > 1


def test_heads_whose_outputs_are_added_have_no_delta_angle_to_count() -> None:
    found = measured(TwoHeads(), FeedbackAlignment(), normal(4, 6))
    assert free(found) == {"skip", "head"}
    assert min(values_over_layers("delta_angle", found)) > 1


def test_a_dead_network_is_not_taken_for_one_that_the_error_reaches_directly() -> None:
    model = dense_net()
    layers = attach(model, FeedbackAlignment())
    for layer in layers[:-1]:
        nn.init.constant_(layer.bias, -1e3)  # type: ignore[arg-type]
    found = measure_alignment(model, layers, normal(4, 12), torch.arange(4), F.cross_entropy)
    assert free(found) == {"4"}
    assert values_over_layers("delta_angle", found) == []


def test_measuring_leaves_no_trace_under_anomaly_detection() -> None:
    model = dense_net()
    feedback = attach(model, FeedbackAlignment())
    with torch.autograd.set_detect_anomaly(True):
        assert feedback.angles(normal(4, 12), torch.arange(4))["0"].delta > 1
    assert not any("forward" in vars(layer) for layer in feedback)


def test_logs_of_earlier_versions_leave_out_the_deepest_layer() -> None:
    layers = [Layer("head", 1, 80.0, 0.0, 1.0), Layer("body", 0, 80.0, 70.0, 1.0)]
    assert [layer.name for layer in layers_through_feedback(layers)] == ["body"]
