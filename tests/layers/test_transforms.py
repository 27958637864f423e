"""``torch.func`` and ``torch.compile`` on models with a rule attached."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jvp, vjp, vmap

from nowt import DrawnFeedback, find_rule
from nowt.core.errors import ConfigError
from nowt.rules.base import Rule
from tests.support.nets import EVERY_RULE, attached, batch, conv_net, dense_net, gradients, normal, rule_id

Named = dict[str, Tensor]


WITHOUT_ACTIVITY = [rule for rule in EVERY_RULE if "input" not in rule.signals]


@dataclass(frozen=True)
class Signs(DrawnFeedback):
    """The error passes through the signs of B."""

    name: ClassVar[str] = "signs"

    def feedback(self, layer: Any) -> Any:
        return layer.feedback.sign()


@dataclass(frozen=True)
class Watch(DrawnFeedback):
    """A rule that sees activity."""

    name: ClassVar[str] = "watch"
    signals: ClassVar[tuple[str, ...]] = ("input",)

    def observe(self, layer: Any, x: Any, y: Any) -> None:
        layer.cache["mean"] = x.mean()


@dataclass(frozen=True)
class Sends(Rule):
    """A rule with a way of its own for the error."""

    name: ClassVar[str] = "sends"

    def send_back(self, layer: Any, error: Any, x: Any, output_error: Any) -> Any:
        return x.clone().zero_()


def nets() -> list[nn.Module]:
    return [conv_net(norm=False), nn.Sequential(nn.Flatten(), dense_net((192, 20, 16, 5)))]


def split(model: nn.Module) -> tuple[Named, Named]:
    """The trained parameters, and B, without autograd."""
    named = {name: (p.requires_grad, p.detach()) for name, p in model.named_parameters()}
    return {n: p for n, (yes, p) in named.items() if yes}, {n: p for n, (yes, p) in named.items() if not yes}


def loss_of(model: nn.Module) -> Callable[[Named, Tensor, Tensor], Tensor]:
    _, rest = split(model)

    def loss(parameters: Named, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(model, parameters | rest, (x,)), y)

    return loss


def assert_same(found: Named, expected: Named) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("net", nets(), ids=["conv", "dense"])
@pytest.mark.parametrize("rule", [*WITHOUT_ACTIVITY, Signs()], ids=rule_id)
def test_torch_func_gives_the_gradients_of_the_rule(rule: Rule, net: nn.Module) -> None:
    model, _ = attached(net, rule)
    x, y = batch()
    loss, (parameters, _), expected = loss_of(model), split(model), gradients(model, x, y)
    assert_same(grad(loss)(parameters, x, y), expected)
    assert_same(vjp(lambda p: loss(p, x, y), parameters)[1](torch.tensor(1.0))[0], expected)


@pytest.mark.parametrize("net", nets(), ids=["conv", "dense"])
@pytest.mark.parametrize("rule", [*WITHOUT_ACTIVITY, Signs()], ids=rule_id)
def test_vmap_gives_the_gradients_of_each_sample(rule: Rule, net: nn.Module) -> None:
    model, _ = attached(copy.deepcopy(net).double(), rule)
    x, y = batch(dtype=torch.float64)
    loss, (parameters, _) = loss_of(model), split(model)
    of_one = grad(lambda p, x, y: loss(p, x[None], y[None]))
    found = vmap(of_one, in_dims=(None, 0, 0))(parameters, x, y)
    for i in range(len(x)):
        assert_same({name: value[i] for name, value in found.items()}, gradients(model, x[i : i + 1], y[i : i + 1]))


def test_functional_call_uses_the_b_that_it_is_given() -> None:
    model, layers = attached(dense_net(), find_rule("fa")())
    x, y = normal(8, 12), torch.arange(8) % 5
    other = copy.deepcopy(model)
    (parameters, rest), (_, theirs) = split(model), split(attached(dense_net(), find_rule("fa")(), seed=1)[0])
    found = grad(lambda p: F.cross_entropy(functional_call(other, p | theirs, (x,)), y))(parameters)
    with torch.no_grad():
        for layer in layers:
            layer.feedback.copy_(theirs[f"{layer.name}.feedback"])
    assert theirs.keys() == rest.keys()
    assert_same(found, gradients(model, x, y))


def test_an_ensemble_of_b_is_one_vmap() -> None:
    models = [attached(dense_net(), find_rule("fa")(), seed=seed)[0] for seed in range(3)]
    x, y = normal(8, 12), torch.arange(8) % 5
    parameters, _ = split(models[0])
    stacked = {name: torch.stack([split(model)[1][name] for model in models]) for name in split(models[0])[1]}

    def loss(p: Named, feedback: Named) -> Tensor:
        return F.cross_entropy(functional_call(models[0], p | feedback, (x,)), y)

    found = vmap(grad(loss), in_dims=(None, 0))(parameters, stacked)
    for i, model in enumerate(models):
        assert_same({name: value[i] for name, value in found.items()}, gradients(model, x, y))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")  # of torch's own import
@pytest.mark.parametrize("transform", ["twice", "hessian", "jvp"])
@pytest.mark.parametrize("net", nets(), ids=["conv", "dense"])
def test_a_second_derivative_is_refused_in_one_line(transform: str, net: nn.Module) -> None:
    model, _ = attached(net, find_rule("fa")())
    x, y = batch()
    loss, (parameters, _) = loss_of(model), split(model)

    def once(p: Named) -> Tensor:
        return loss(p, x, y)

    def squared(p: Named) -> Tensor:
        return torch.stack([value.square().sum() for value in grad(once)(p).values()]).sum()

    runs: dict[str, Callable[[], Any]] = {
        "twice": lambda: grad(squared)(parameters),
        "hessian": lambda: hessian(once)(parameters),
        "jvp": lambda: jvp(once, (parameters,), (parameters,)),
    }
    with pytest.raises(ConfigError, match="cannot be differentiated again"):
        runs[transform]()


@pytest.mark.parametrize("rule", [Watch(), Sends()], ids=rule_id)
def test_a_rule_that_receives_activity_or_errors_refuses_torch_func(rule: Rule) -> None:
    model, _ = attached(dense_net(), rule)
    x, y = normal(8, 12), torch.arange(8) % 5
    with pytest.raises(ConfigError, match=f"^rule {rule.name} receives activity or errors, which torch.func"):
        grad(loss_of(model))(split(model)[0], x, y)


def test_a_rule_that_observes_training_only_works_in_eval_mode() -> None:
    model, _ = attached(dense_net(), Watch())
    model.eval()
    x, y = normal(8, 12), torch.arange(8) % 5
    assert_same(grad(loss_of(model))(split(model)[0], x, y), gradients(model, x, y))


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch.compile reads it where a graph resumes
@pytest.mark.parametrize("rule", [Signs(), Watch(), Sends()], ids=rule_id)
def test_a_rule_outside_of_the_graph_says_so_and_compiles_in_parts(rule: Rule) -> None:
    model, _ = attached(conv_net(norm=False), rule)
    x, y = batch()
    torch._dynamo.reset()
    with pytest.raises(Exception, match=r"nowt: a rule that overrides feedback.*: compile without fullgraph=True"):
        torch.compile(model, fullgraph=True, backend="eager")(x)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager")
    found = torch.autograd.grad(F.cross_entropy(compiled(x), y), [p for p in model.parameters() if p.requires_grad])
    expected = gradients(model, x, y)
    assert_same(dict(zip(expected, found, strict=True)), expected)
