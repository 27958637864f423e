"""torch.fx and torchvision's feature extractors work on a model with a rule, and keep the rule's backward path."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torchvision.models import resnet18
from torchvision.models.feature_extraction import create_feature_extractor

from nowt.layers.attach import attach, feedback_layers
from nowt.rules.base import Rule
from nowt.rules.registry import find_rule
from tests.support.nets import EVERY_RULE, attached, batch, conv_net, gradients, normal, rule_id


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
def test_a_traced_model_sends_the_error_back_by_the_rule(rule: Rule) -> None:
    model, layers = attached(conv_net(), rule)
    traced = torch.fx.symbolic_trace(model)
    called = {node.target for node in traced.graph.nodes if node.op == "call_module"}
    assert {layer.name for layer in layers} <= called
    x, y = batch()
    ours, theirs = gradients(model, x, y), gradients(traced, x, y)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert len(feedback_layers(traced)) == len(layers)


def test_a_feature_extractor_of_a_model_with_a_rule_returns_its_features() -> None:
    model = resnet18(num_classes=5).eval()
    attach(model, find_rule("kp")(), example=torch.zeros(2, 3, 32, 32))
    extractor = create_feature_extractor(model, {"layer2": "features", "fc": "scores"})
    x = normal(2, 3, 32, 32)
    found = extractor(x)
    assert found["features"].shape == (2, 128, 4, 4)
    assert torch.equal(found["scores"], model(x))
    assert torch.autograd.grad(found["scores"].sum(), model.conv1.weight)[0].abs().sum() > 0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_of_a_model_with_a_rule_can_be_traced(copied: object) -> None:
    model, layers = attached(conv_net(), find_rule("fa")())
    assert callable(copied)
    traced = torch.fx.symbolic_trace(copied(model))
    assert len(feedback_layers(traced)) == len(layers)


def test_a_traced_model_accepts_a_rule() -> None:
    traced = torch.fx.symbolic_trace(conv_net())
    x, y = batch()
    layers = attach(traced, find_rule("fa")(), example=x)
    expected = gradients(attached(conv_net(), find_rule("fa")())[0], x, y)
    found = gradients(traced, x, y)
    assert [layer.name for layer in layers] == ["0", "3", "6", "9"]
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_activations_in_place_after_a_linear_layer_on_sequences_train() -> None:
    """F.linear returns a view for them, which torch lets no model change if a custom function returns it."""
    model = nn.Sequential(nn.Linear(6, 5, bias=False), nn.ReLU(inplace=True), nn.Linear(5, 3))
    plain = copy.deepcopy(model)
    attach(model, find_rule("sham")())
    x = normal(2, 7, 6)
    found, expected = (torch.autograd.grad(net(x).square().sum(), net[0].weight) for net in (model, plain))
    torch.testing.assert_close(found, expected)
    assert model(normal(6)).shape == (3,) and model(normal(0, 4, 6)).shape == (0, 4, 3)
