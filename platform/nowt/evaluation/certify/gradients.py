"""With B := W, every gradient equals autograd's bit for bit, for layers of every shape."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from nowt.core.seeding import generator
from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.testbed import no_feedback_matrix_reason, uncovered_reason
from nowt.layers.attach import attach
from nowt.rules.base import Rule, overrides

CHANNELS = 4


@dataclass(frozen=True)
class LayerCase:
    """A plain torch layer, an input, and the output and gradients that autograd computes."""

    plain: nn.Module
    x: Tensor
    expected: dict[str, Tensor]


def check_gradients(rule: Rule) -> CheckResults:
    """Yield one check; it is skipped if the rule does not send the error through B itself."""
    reason = no_feedback_matrix_reason(rule) or uncovered_reason(rule, _network())
    if overrides(rule, "feedback"):
        reason = "the rule computes what carries the error from B (feedback)"
    if reason:
        yield SkippedCheck("gradients", reason)
        return
    with _ignore_warnings():
        layers = _attached(rule)
        results = [(case.plain, _differing(case, layer)) for case, layer in zip(cases(), layers, strict=True)]
    wrong = [f"{plain}: {', '.join(names)}" for plain, names in results if names]
    measured = f"{len(wrong)} of {len(results)} shapes differ" + (f"; {wrong[0]}" if wrong else "")
    promise = "With B := W, every gradient equals autograd's (convolutions and linear layers of every shape)"
    yield Check("gradients", promise, "bit for bit", measured, not wrong)


@cache
def cases() -> tuple[LayerCase, ...]:
    """Return every plain layer with its gradients, which are the same for all rules."""
    with torch.random.fork_rng(devices=[]), _ignore_warnings():
        torch.manual_seed(0)
        return tuple(LayerCase(plain, x, _gradients(plain, x)) for plain, x in _layers())


def _layers() -> Iterator[tuple[nn.Module, Tensor]]:
    """Yield plain layers with an input each: images (2, 4, 9, 8), vectors (5, 7) and (2, 3, 7)."""
    kernels: tuple[Any, ...] = (1, 3, (3, 2))
    strides: tuple[Any, ...] = (1, 2, (2, 1))
    paddings = (0, 1, (1, 0), "same", "valid")
    modes = ("zeros", "reflect", "replicate", "circular")
    for kernel, stride, padding, mode, dilation in product(kernels, strides, paddings, modes, (1, 2)):
        if padding == "same" and stride != 1:
            continue  # torch does not support it
        if (kernel == 1 and dilation != 1) or (padding in (0, "valid") and mode != "zeros"):
            continue  # equal to another case
        settings: dict[str, Any] = {"padding": padding, "dilation": dilation, "padding_mode": mode}
        for groups, bias in ((1, True), (2, False), (CHANNELS, True)):
            yield (
                nn.Conv2d(CHANNELS, 2 * CHANNELS, kernel, stride, groups=groups, bias=bias, **settings),
                _normal(2, CHANNELS, 9, 8),
            )
    for bias, shape in product((True, False), ((5, 7), (2, 3, 7))):
        yield nn.Linear(7, 6, bias=bias), _normal(*shape)


def _attached(rule: Rule) -> list[nn.Module]:
    """Return a copy of every plain layer, with the rule attached and B := W, in evaluation: the rule observes none."""
    network = _network()
    for attached in attach(network, rule):
        with torch.no_grad():
            attached.feedback.copy_(attached.weight)
    return list(network)[:-1]


def _network() -> nn.ModuleList:
    """Return a copy of every layer, and one more: the network's last layer, which a rule may leave to backprop."""
    return nn.ModuleList([*(copy.deepcopy(case.plain) for case in cases()), nn.Linear(4, 3)]).eval()


def _differing(case: LayerCase, layer: nn.Module) -> list[str]:
    """Return which of output and gradients differ from those of the plain layer."""
    found = _gradients(layer, case.x)
    return [name for name in case.expected if not torch.equal(case.expected[name], found[name])]


def _gradients(layer: nn.Module, x: Tensor) -> dict[str, Tensor]:
    x = x.clone().requires_grad_()
    trained = {"input": x, **{name: p for name, p in layer.named_parameters() if p.requires_grad}}
    y = layer(x)
    found = torch.autograd.grad(y, list(trained.values()), _normal(*y.shape))
    return {"output": y.detach(), **dict(zip(trained, found, strict=True))}


def _ignore_warnings() -> AbstractContextManager[None]:
    """Ignore UserWarnings: torch warns about even kernels with padding 'same', which are tested on purpose."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)


def _normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(0, "certificate", "gradients", shape))
