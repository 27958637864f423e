"""Layers with one W share one B, and are one layer to the rule."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.layers.alignment import angle, measure_alignment
from nowt.layers.attach import attach, feedback_layers, using_backprop
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.base import Rule
from nowt.rules.moment import Moment
from nowt.rules.registry import find_rule
from tests.support.nets import EVERY_RULE, normal, rule_id, train_step


def tied_net(seed: int = 0) -> nn.Sequential:
    """Two layers with one W between two others."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3)
    )
    model[4].weight = model[2].weight
    return model


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
def test_layers_with_one_weight_share_one_b_and_are_one_layer_to_the_rule(rule: Rule) -> None:
    model, x, y = tied_net(), normal(4, 6), torch.arange(4) % 3
    layers = attach(model, rule)
    assert [layer.name for layer in layers] == [layer.name for layer in feedback_layers(model)] == ["0", "2", "6"]
    assert model[4].feedback is model[2].feedback
    assert [line.name for line in measure_alignment(model, layers, x, y, F.cross_entropy)] == ["0", "2", "6"]
    with using_backprop(layers):
        found = torch.autograd.grad(F.cross_entropy(model(x), y), model[0].weight)
    plain = tied_net()
    assert torch.equal(found[0], torch.autograd.grad(F.cross_entropy(plain(x), y), plain[0].weight)[0])


@pytest.mark.filterwarnings("default")
def test_kolen_pollack_gives_the_shared_b_the_gradient_of_the_shared_weight_once() -> None:
    model, x, y = tied_net().double(), normal(4, 6, dtype=torch.float64), torch.arange(4) % 3
    layers = attach(model, find_rule("kp")())
    pairs = [tensor for layer in layers for tensor in (layer.weight, layer.feedback)]
    optimizer = torch.optim.SGD(pairs, lr=0.1, weight_decay=1.0)
    before = [layer.weight.detach() - layer.feedback for layer in layers]
    for step in range(1, 4):
        train_step(model, layers, optimizer, x, y, step)
    for layer, difference in zip(layers, before, strict=True):
        torch.testing.assert_close(layer.weight - layer.feedback, 0.9**3 * difference, rtol=1e-12, atol=1e-12)
    assert model[4].feedback is model[2].feedback


def test_the_mirror_updates_a_shared_b_once() -> None:
    rule = find_rule("wm")(warmup=30, samples=64)
    tied, single = tied_net(), nn.Sequential(*list(tied_net())[:4], *list(tied_net())[5:])
    for model in (tied, single):
        RuleSteps(rule, attach(model, rule)).before_learning(Moment(0, seed=3))
    torch.testing.assert_close(tied[2].feedback, single[2].feedback)
    assert angle(tied[2].feedback, tied[2].weight) < 15


@pytest.mark.parametrize("copies", ["deepcopy", "double", "state_dict"])
def test_a_shared_b_stays_shared_in_copies_of_the_model(copies: str) -> None:
    model = tied_net()
    attach(model, find_rule("kp")())
    other = copy.deepcopy(model)
    if copies == "double":
        other = model.double()
    if copies == "state_dict":
        other = tied_net(seed=1)
        attach(other, find_rule("kp")(), seed=1)
        other.load_state_dict(model.state_dict())
    assert other[4].feedback is other[2].feedback
    assert torch.equal(other[2].feedback, model[2].feedback)
    assert [layer.name for layer in feedback_layers(other)] == ["0", "2", "6"]


class TiedToEmbedding(nn.Module):
    """Predicts tokens by the table of their embedding, which is the W of its output layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = nn.Embedding(5, 6), nn.Linear(6, 5)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.head(self.embedding(tokens))
        return found


def test_a_head_that_shares_its_weight_with_an_embedding_has_a_b_which_learns_from_the_sum_of_both_gradients() -> None:
    model, tokens = TiedToEmbedding(), torch.arange(5)
    feedback = attach(model, find_rule("kp")(), example=tokens)  # a warning of uncovered weights would be an error
    assert [layer.name for layer in feedback] == ["head"]
    x = normal(5, 6).requires_grad_()
    model.head(x).sum().backward()
    torch.testing.assert_close(x.grad, model.head.feedback.sum(0).expand(5, 6))
    model.zero_grad()
    difference = (model.head.weight - model.head.feedback).detach()
    F.cross_entropy(model(tokens), tokens).backward()
    feedback.step(torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1.0))
    torch.testing.assert_close(model.head.weight - model.head.feedback, 0.9 * difference)
