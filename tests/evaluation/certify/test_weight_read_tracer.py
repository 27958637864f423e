"""The tracer of weight reads: what counts as a read, who reads, and that copies are followed."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.evaluation.certify import phases
from nowt.evaluation.certify.weight_read_tracer import WeightReadTracer
from tests.support.nets import normal


def traced(act: Any, layer: nn.Module | None = None, phase: str = phases.AFTER_STEP) -> list[tuple[str, str]]:
    """Return who read W, and with which operation, while ``act(layer)`` ran."""
    layer = layer or nn.Linear(7, 6, bias=False)
    net = nn.ModuleDict({"layer": layer})
    tracer = WeightReadTracer({"layer": layer.get_parameter("weight")})
    with tracer.trace(net):
        tracer.enter_phase(phase)
        act(layer)
    return [(read.reader, read.op) for read in tracer.reads]


def test_creating_a_view_is_no_read_but_using_it_is() -> None:
    assert traced(lambda layer: layer.weight.detach().t()[3:].view_as(layer.weight.t()[3:]).data) == []
    assert traced(lambda layer: layer.weight.detach().t()[2:] + 1) == [("elsewhere", "add")]
    assert traced(lambda layer: layer.weight.data.flatten().sum()) == [("elsewhere", "sum")]


def test_copies_of_the_weights_are_followed() -> None:
    copied = traced(lambda layer: layer.weight.detach().double().clone() * 2)
    assert copied == [("copy", "_to_copy"), ("copy", "clone"), ("elsewhere", "mul")]


def test_using_only_the_shape_is_no_read() -> None:
    def use_shape(layer: nn.Linear) -> None:
        torch.empty_like(layer.weight), torch.randn_like(layer.weight), layer.weight.new_zeros(3), layer.weight.shape

    assert traced(use_shape) == []


def test_reading_only_signs_is_distinguished_from_reading_values() -> None:
    b = torch.ones(6, 7)
    assert traced(lambda layer: torch.copysign(b, layer.weight.detach())) == [("sign", "copysign")]
    assert traced(lambda layer: torch.copysign(layer.weight.detach(), b)) == [("elsewhere", "copysign")]
    assert traced(lambda layer: layer.weight.detach() > 0) == [("sign", "gt")]
    assert traced(lambda layer: layer.weight.detach() > 0.5) == [("elsewhere", "gt")]


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Linear(7, 6), normal(20, 7)),
        (nn.Linear(7, 6), normal(2, 5, 7)),
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), normal(3, 4, 5, 5)),
    ],
    ids=["linear", "linear over positions", "convolution"],
)
def test_a_layers_own_forward_is_its_map_also_in_bfloat16(layer: nn.Module, x: Tensor) -> None:
    def run(layer: nn.Module) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            layer(x)

    assert {reader for reader, _ in traced(run, layer, phases.FORWARD)} == {"copy", "forward map"}
    plain = traced(lambda layer: layer(x), layer, phases.FORWARD)
    assert [reader for reader, _ in plain] == ["forward map"]


def test_the_same_map_outside_the_layers_forward_is_not_its_map() -> None:
    x = normal(20, 7)
    assert traced(lambda layer: F.linear(x, layer.weight.detach()), phase=phases.FORWARD) == [("elsewhere", "mm")]
    assert traced(lambda layer: F.linear(x, layer.weight.detach())) == [("mirror map", "mm")]


def test_noise_through_the_transpose_is_not_a_mirror_map() -> None:
    assert traced(lambda layer: normal(9, 6) @ layer.weight.detach()) == [("elsewhere", "mm")]
    conv = nn.Conv2d(4, 6, 3)
    x = normal(2, 6, 5, 5)
    assert traced(lambda layer: F.conv_transpose2d(x, layer.weight.detach()), conv) == [("elsewhere", "convolution")]


def test_inputs_that_reveal_every_weight_exactly_are_detected() -> None:
    probes = torch.linalg.qr(normal(7, 7))[0]
    assert traced(lambda layer: F.linear(3 * probes, layer.weight.detach())) == [("mirror map, exact", "mm")]
    assert traced(lambda layer: F.linear(torch.eye(7), layer.weight.detach())) == [("mirror map, exact", "mm")]
    assert traced(lambda layer: layer(torch.eye(7)), phase=phases.FORWARD) == [("elsewhere", "mm")]
    impulses = torch.eye(36).view(36, 4, 3, 3)
    conv = nn.Conv2d(4, 6, 3)
    found = traced(lambda layer: torch.conv2d(impulses, layer.weight.detach()), conv)
    assert found == [("mirror map, exact", "convolution")]


def test_a_copy_that_outlives_its_step_is_recorded() -> None:
    layer, kept = nn.Linear(7, 6), []
    tracer = WeightReadTracer({"layer": layer.weight})
    with tracer:
        tracer.enter_phase(phases.AFTER_STEP)
        kept.append(layer.weight.detach().clone())
        tracer.enter_phase(phases.BETWEEN)
    assert [(read.layer, read.reader) for read in tracer.reads] == [("layer", "copy"), ("layer", "kept copy")]


@pytest.mark.parametrize("copies_weight", [False, True])
def test_optimizer_operations_on_lists_are_allowed_unless_they_write_a_weight_into_b(copies_weight: bool) -> None:
    """torch's fused optimizers update all weights in one operation; each position of the lists is checked alone."""
    weights = {name: normal(6, 7, seed=seed) for seed, name in enumerate(("one", "two"))}
    gradients, momenta = ([normal(6, 7, seed=seed) for seed in range(first, first + 2)] for first in (3, 5))
    b = normal(6, 7, seed=9)
    tracer = WeightReadTracer(weights, rule_state=[b])
    with tracer:
        tracer.enter_phase(phases.OPTIMIZER)
        updated = [*weights.values()]
        settings = {"weight_decay": 0.1, "momentum": 0.9, "lr": 0.1, "dampening": 0.0, "nesterov": False}
        if copies_weight:
            torch._foreach_add_([b], [weights["one"]])
        else:
            torch._fused_sgd_(updated, gradients, momenta, maximize=False, is_first_step=False, **settings)
    assert {read.reader for read in tracer.reads} == ({"elsewhere"} if copies_weight else {"optimizer"})
