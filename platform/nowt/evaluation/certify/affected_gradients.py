"""A layer's B affects the gradients of the layers below it in the graph, and no others."""

from collections.abc import Callable, Iterator
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.small_network import batch, small_net
from nowt.evaluation.certify.testbed import Testbed, changed, no_feedback_matrix_reason
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.moment import Moment


def check_affected_gradients(rule: Rule) -> CheckResults:
    """Yield two checks: one for the B of the first layer, one for the B of every other layer."""
    reason = no_feedback_matrix_reason(rule)
    if reason:
        yield from (SkippedCheck(name, reason) for name in ("first layer", "ancestors"))
        return
    expected = {layer.name: ancestors(layer.name) for layer in Testbed.build(rule).layers}
    found = dict(_affected_layers(rule))
    firsts: dict[str, set[str]] = {name: set() for name, below in expected.items() if not below}
    promise = "The first layer's B changes no gradient, because no error is sent below that layer"
    yield _check("first layer", promise, "0 gradients change", firsts, found)
    promise = "Every other B changes exactly the gradients of its layer's ancestors (found by perturbing W)"
    rest = {name: below for name, below in expected.items() if below}
    yield _check("ancestors", promise, "exactly the ancestors", rest, found)


def ancestors(name: str) -> set[str]:
    """Return the layers whose W affects the input of layer ``name``, found by perturbing each W in a forward pass."""
    return set(_all_ancestors()[name])


@cache
def _all_ancestors() -> dict[str, frozenset[str]]:
    """Return the ancestors of every layer of the small network, which are the same for all rules."""
    model = small_net()
    layers = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    before = _inputs(layers, model)
    found: dict[str, set[str]] = {name: set() for name in layers}
    for other, layer in layers.items():
        with torch.no_grad():
            original = layer.weight.clone()
            layer.weight.mul_(torch.linspace(0.5, 1.5, original[0].numel()).view(original[0].shape))
            for name in changed(before, _inputs(layers, model)):
                found[name].add(other)
            layer.weight.copy_(original)
    return {name: frozenset(below) for name, below in found.items()}


def _inputs(layers: dict[str, nn.Module], model: nn.Module) -> dict[str, Tensor]:
    """Return the input of each layer in a forward pass."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, inputs: seen.update({name: inputs[0].detach().clone()})

    hooks = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers.items()]
    model(batch(0)[0])
    for hook in hooks:
        hook.remove()
    return seen


def _affected_layers(rule: Rule) -> Iterator[tuple[str, set[str]]]:
    """Yield each layer with the layers whose gradients change when its B changes, on fresh networks."""
    before = _gradients(_fresh(rule))
    for index in range(len(_fresh(rule).layers)):
        testbed = _fresh(rule)
        layer = testbed.layers[index]
        with torch.no_grad():
            layer.feedback.add_(layer.feedback.roll(1)).add_(layer.feedback.std())
        yield layer.name, set(changed(before, _gradients(testbed)))


def _fresh(rule: Rule) -> Testbed:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # a rule that draws from the global generator fails another check, not this one
        return Testbed.build(rule)


def _gradients(testbed: Testbed) -> dict[str, Tensor]:
    """Return the gradient of every W as the optimizer would get it, by layer name."""
    x, y = batch(0)
    testbed.optimizer.zero_grad(set_to_none=True)
    F.cross_entropy(testbed.model(x), y).backward()  # type: ignore[no-untyped-call]
    testbed.steps.before_step(testbed.optimizer, Moment(1, 0))
    layers = {n: m for n, m in testbed.model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear | FeedbackLayer)}
    return {name: layer.weight.grad.clone() for name, layer in layers.items() if layer.weight.grad is not None}


def _check(name: str, promise: str, bound: str, expected: dict[str, set[str]], found: dict[str, set[str]]) -> Check:
    def listed(layers: set[str]) -> str:
        return ", ".join(sorted(layers)) or "nothing"

    wrong = [
        f"B of {layer} changes {listed(found[layer])}, not {listed(below)}"
        for layer, below in expected.items()
        if found[layer] != below
    ]
    return Check(name, promise, bound, "; ".join(wrong) or f"holds for {', '.join(expected)}", not wrong)
