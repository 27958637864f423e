"""Whose gradient a layer's B can change: that of the layers below it in the graph, and of no other."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.evaluation.certify.certificate import Check, Findings, LeftOut
from nowt.evaluation.certify.testbed import Testbed, batch, changed, small_net, why_no_matrix
from nowt.rules.base import FeedbackLayer, Rule


def check_reach(rule: Rule) -> Findings:
    """Two rows: the first layer's B, and every other layer's."""
    why = why_no_matrix(rule)
    if why:
        yield from (LeftOut(name, why) for name in ("first layer", "ancestors"))
        return
    expected = {layer.name: ancestors(layer.name) for layer in Testbed.build(rule).layers}
    found = dict(_reached(rule))
    firsts = [name for name, above in expected.items() if not above]
    promise = "The first layer's B changes nothing, since no error is sent below it"
    yield _row("first layer", promise, "0 gradients change", {n: set() for n in firsts}, found)
    promise = "Another B changes the gradients of all its layer's ancestors in the graph (found by perturbing W) only"
    rest = {name: above for name, above in expected.items() if above}
    yield _row("ancestors", promise, "exactly the ancestors", rest, found)


def ancestors(name: str) -> set[str]:
    """The layers whose W the input of layer ``name`` depends on, found by changing each W in forward passes alone."""
    model = small_net()
    layers = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    before = _input_of(layers[name], model)
    found = set()
    for other, layer in layers.items():
        with torch.no_grad():
            kept = layer.weight.clone()
            layer.weight.mul_(torch.linspace(0.5, 1.5, kept[0].numel()).view(kept[0].shape))
            if not torch.equal(_input_of(layers[name], model), before):
                found.add(other)
            layer.weight.copy_(kept)
    return found


def _input_of(layer: nn.Module, model: nn.Module) -> Tensor:
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    model(batch(0)[0])
    hook.remove()
    return seen[0]


def _reached(rule: Rule) -> Iterator[tuple[str, set[str]]]:
    """For each layer, the layers whose gradient changes with its B, on fresh networks."""
    before = _gradients(_fresh(rule))
    for place in range(len(_fresh(rule).layers)):
        bench = _fresh(rule)
        layer = bench.layers[place]
        with torch.no_grad():
            layer.feedback.add_(layer.feedback.roll(1)).add_(layer.feedback.std())
        yield layer.name, set(changed(before, _gradients(bench)))


def _fresh(rule: Rule) -> Testbed:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # for a rule that draws from the global stream, which another promise is about
        return Testbed.build(rule)


def _gradients(bench: Testbed) -> dict[str, Tensor]:
    """The gradient of every W as the optimiser would get it, by layer name."""
    x, y = batch(0)
    bench.optimizer.zero_grad(set_to_none=True)
    F.cross_entropy(bench.model(x), y).backward()  # type: ignore[no-untyped-call]
    bench.rule.before_step(bench.layers, bench.optimizer)
    layers = {n: m for n, m in bench.model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear | FeedbackLayer)}
    return {name: layer.weight.grad.clone() for name, layer in layers.items() if layer.weight.grad is not None}


def _row(name: str, promise: str, bound: str, expected: dict[str, set[str]], found: dict[str, set[str]]) -> Check:
    def names(layers: set[str]) -> str:
        return ", ".join(sorted(layers)) or "nothing"

    wrong = [
        f"B of {layer} changes {names(found[layer])}, not {names(above)}"
        for layer, above in expected.items()
        if found[layer] != above
    ]
    return Check(name, promise, bound, "; ".join(wrong) or f"holds for {', '.join(expected)}", not wrong)
