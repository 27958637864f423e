"""Layers whose forward is never called, lazy layers, and layers on which a rule does not work."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torchvision.models import SwinTransformer, VisionTransformer
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformerBlockV2

from nowt.layers.alignment import angle, measure_alignment
from nowt.layers.attach import attach
from nowt.layers.coverage import uncovered_weights
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.base import Rule
from nowt.rules.moment import Moment
from nowt.rules.registry import find_rule
from tests.support.nets import EVERY_RULE, normal, rule_id, train_step

LEARNING = [rule for rule in EVERY_RULE if rule.learns_from]


def attach_error(model: nn.Module, rule: Rule, **options: Any) -> str:
    before = [type(module) for module in model.modules()]
    with pytest.raises(ValueError) as caught:
        attach(model, rule, **options)
    line = str(caught.value)
    assert "\n" not in line
    assert [type(module) for module in model.modules()] == before
    return line


class ByFunction(nn.Module):
    """A network whose middle layer's weight is used by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(torch.relu(self.first(x)), self.middle.weight, self.middle.bias)
        found: Tensor = self.last.forward(torch.relu(y))  # not __call__, which would run hooks
        return found


def test_a_layer_whose_weight_is_used_by_a_function_is_named_and_uses_backprop() -> None:
    torch.manual_seed(0)
    model, x = ByFunction(), normal(4, 6)
    with pytest.warns(UserWarning, match=r"these weights use backprop, .*: middle.weight$"):
        layers = attach(model, find_rule("fa")(), example=x)
    assert [layer.name for layer in layers] == ["first", "last"]
    assert type(model.middle) is nn.Linear and "middle.feedback" not in model.state_dict()
    assert [line.name for line in measure_alignment(model, layers, x, torch.arange(4) % 3, F.cross_entropy)] == [
        "first",
        "last",
    ]


def small_swin(**version: Any) -> nn.Module:
    """A Swin transformer with two stages of two blocks, one of which shifts its windows."""
    return SwinTransformer([4, 4], 16, [2, 2], [2, 4], [4, 4], num_classes=3, **version)


TRANSFORMERS: dict[str, Callable[[], nn.Module]] = {
    "swin": small_swin,
    "vit": lambda: VisionTransformer(32, 16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=3),
    "swin v2": lambda: small_swin(block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2),
}


@pytest.mark.filterwarnings("ignore:these weights use backprop")
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_attention_layers_of_torchvision_that_a_function_computes_have_no_b(name: str) -> None:
    model = TRANSFORMERS[name]()
    for head in (m for n, m in model.named_modules() if n == "heads.head"):
        nn.init.normal_(head.weight)
    layers = attach(model, find_rule("fa")(), example=torch.zeros(1, 3, 32, 32))
    error = torch.autograd.grad(model(normal(2, 3, 32, 32)).square().sum(), [layer.weight for layer in layers])
    assert all(gradient is not None for gradient in error)
    named = [layer.name for layer in layers] + [n for n in model.state_dict() if n.endswith(".feedback")]
    assert len(layers) > 4 and any("mlp" in n for n in named)
    # cpb_mlp computes the position biases of Swin v2; its layers are called
    assert not any("attn" in n or "self_attention" in n for n in named if ".cpb_mlp." not in n)


class TiedHead(nn.Module):
    """A network whose output layer is the transpose of its first layer, or the table of an embedding."""

    def __init__(self, embedding: bool = False) -> None:
        super().__init__()
        self.first = nn.Embedding(9, 6) if embedding else nn.Linear(9, 6)
        self.middle = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.middle(torch.relu(self.first(x)))
        weight = self.first.weight if isinstance(self.first, nn.Embedding) else self.first.weight.t()
        return F.linear(y, F.normalize(weight))


@pytest.mark.parametrize("embedding", [True, False])
def test_a_weight_that_a_function_uses_in_addition_to_its_layer_is_named(embedding: bool) -> None:
    x = torch.zeros(2, 4, dtype=torch.long) if embedding else torch.zeros(2, 9)
    with pytest.warns(UserWarning, match=r"these weights use backprop, .*: first.weight$"):
        layers = attach(TiedHead(embedding), find_rule("fa")(), example=x)
    assert [layer.name for layer in layers] == (["middle"] if embedding else ["first", "middle"])


@pytest.mark.filterwarnings("error")
def test_a_weight_that_enters_a_penalty_or_an_embedding_is_not_named() -> None:
    class Penalized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.last = nn.Embedding(9, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.last(self.table(x).mean(1).to(self.last.weight.dtype))
            return found + 0 * self.last.weight.square().sum()

    attach(Penalized(), find_rule("fa")(), example=torch.zeros(2, 4, dtype=torch.long))


def test_a_layer_that_is_called_in_train_mode_only_has_a_b() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.extra, self.last = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = torch.relu(self.first(x))
            found: Tensor = self.last(y) + self.extra(y) if self.training else self.last(y)
            return found

    layers = attach(Auxiliary(), find_rule("fa")(), example=torch.zeros(2, 4))
    assert [(layer.name, layer.activation) for layer in layers] == [
        ("first", "relu"),
        ("extra", "relu"),
        ("last", "linear"),
    ]


def test_an_example_changes_neither_running_statistics_nor_random_numbers() -> None:
    model = nn.Sequential(ByFunction(), nn.BatchNorm1d(3), nn.Dropout())
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    attach(model, find_rule("fa")(), example=normal(4, 6), quiet=True)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert not any("watch" in vars(module) for module in model.modules())


def zero_head() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    nn.init.zeros_(model[2].weight)
    return model


@pytest.mark.parametrize("name", ["fa", "kp", "ss", "wm"])
def test_a_layer_that_starts_at_zero_is_rejected_where_b_depends_on_its_weights(name: str) -> None:
    rule = find_rule(name)(**({"angle": 45.0} if name == "wm" else {}))
    line = attach_error(zero_head(), rule)
    assert line.startswith("all weights of layer 2 start at 0, so ")
    assert line.endswith(
        ": give the layer another initialization, or set rule.last_layer to backprop, "
        "which leaves the last layer to backprop"
    )
    without = find_rule(name)(last_layer="backprop", **({"angle": 45.0} if name == "wm" else {}))
    assert [layer.name for layer in attach(zero_head(), without)] == ["0"]


def test_a_layer_that_starts_at_zero_works_where_b_does_not_need_its_weights() -> None:
    rule = find_rule("wm")(warmup=0, interval=1)
    model = zero_head()
    layers = attach(model, rule)
    nn.init.normal_(model[2].weight)
    for step in range(1, 200):
        RuleSteps(rule, layers).after_step(Moment(step, seed=0))
    assert angle(layers[1].feedback, layers[1].weight) < 15


def test_a_layer_that_starts_at_zero_is_rejected_if_mirror_mode_ends_before_learning() -> None:
    line = attach_error(zero_head(), find_rule("wm")(interval=0))
    assert line.startswith("all weights of layer 2 start at 0 and rule.interval is 0, so its B would stay 0: set ")


@pytest.mark.parametrize("name", ["fa", "kp", "ss"])
def test_a_hidden_layer_of_equal_weights_is_rejected_with_a_way_to_leave_it_out(name: str) -> None:
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    nn.init.constant_(model[0].weight, 0.5)
    rule = find_rule(name)(**({"magnitudes": "redrawn"} if name == "ss" else {}))
    assert attach_error(model, rule).startswith("all weights of layer 0 start at 0.5, so ")
    assert attach_error(model, rule).endswith("by a custom rule whose covers() returns False for it")


def reparametrized(how: str) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    if how == "pruned":
        prune.random_unstructured(model[0], "weight", amount=0.3)
    else:
        nn.utils.weight_norm(model[0])
    return model


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("how", ["pruned", "weight-normed"])
@pytest.mark.parametrize("rule", LEARNING, ids=rule_id)
def test_a_rule_whose_b_learns_rejects_a_layer_that_computes_its_weight(rule: Rule, how: str) -> None:
    line = attach_error(reparametrized(how), rule)
    sources = "weight_orig" if how == "pruned" else "weight_g, weight_v"
    assert line.startswith(f"layer 0 computes its weight from other parameters ({sources}), so its B cannot learn")
    assert "torch.nn.utils.prune.remove" in line


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("how", ["pruned", "weight-normed"])
def test_a_fixed_b_works_on_a_layer_that_computes_its_weight(how: str) -> None:
    model, x, y = reparametrized(how), normal(4, 6), torch.arange(4) % 3
    plain = reparametrized(how)
    attach(model, find_rule("fa")(last_layer="backprop"))
    found, expected = (
        torch.autograd.grad(F.cross_entropy(net(x), y), list(net[0].parameters())[:1]) for net in (model, plain)
    )
    # the parameters behind W receive W's gradient as under backprop; fa's B of this layer changes nothing above it
    assert not [p for n, p in model[0].named_parameters() if n == "weight"]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("rule", [rule for rule in LEARNING if rule.learns_from != "activity"], ids=rule_id)
def test_pruning_after_attach_stops_a_rule_whose_b_learns_from_w(rule: Rule) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    x, y = normal(4, 6), torch.arange(4) % 3
    layers = attach(model, rule)
    prune.random_unstructured(model[2], "weight", amount=0.3)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with pytest.raises(ValueError, match=r"^layer 2 now computes its weight from other parameters"):
        for step in range(1, 9):
            train_step(model, layers, optimizer, x, y, step)


def test_a_layer_with_torchs_parametrization_is_named_and_uses_backprop() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    parametrizations.weight_norm(model[0])
    with pytest.warns(UserWarning, match=r"0.parametrizations.weight.original0"):
        assert [layer.name for layer in attach(model, find_rule("kp")())] == ["2"]


def test_kolen_pollack_rejects_a_layer_that_is_not_trained() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    model[0].weight.requires_grad_(False)
    assert attach_error(model, find_rule("kp")()).startswith("layer 0 is not trained (its weight has requires_grad=")
    assert len(attach(model, find_rule("fa")())) == 2


def lazy_net() -> nn.Sequential:
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_layers_receive_their_weights_from_the_example_and_then_a_b() -> None:
    model = lazy_net()
    layers = attach(model, find_rule("kp")(), example=torch.zeros(2, 3, 8, 8))
    assert [(layer.name, tuple(layer.feedback.shape)) for layer in layers] == [("0", (4, 3, 3, 3)), ("4", (3, 144))]
    assert model.training and model[1].num_batches_tracked == 0
    assert uncovered_weights(model) == []


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_layers_without_an_example_are_rejected() -> None:
    assert attach_error(lazy_net(), find_rule("fa")()) == (
        "layer 0 is a LazyConv2d, whose weight has no shape yet: pass an example to attach"
    )
