"""The watch over W: what counts as reading it, who it is that reads, and copies followed to where they end."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.evaluation.certify import weight_reads
from nowt.evaluation.certify.weight_reads import WeightReadTracer
from tests.support.nets import normal


def watched(act: Any, layer: nn.Module | None = None, phase: str = weight_reads.AFTER_STEP) -> list[tuple[str, str]]:
    """Who read W, and with which operation, while ``act(layer)`` ran."""
    layer = layer or nn.Linear(7, 6, bias=False)
    net = nn.ModuleDict({"layer": layer})
    watch = WeightReadTracer({"layer": layer.get_parameter("weight")})
    with watch.following(net):
        watch.at(phase)
        act(layer)
    return [(read.reader, read.op) for read in watch.reads]


def test_views_of_w_are_followed_and_are_no_reads() -> None:
    assert watched(lambda layer: layer.weight.detach().t()[3:].view_as(layer.weight.t()[3:]).data) == []
    assert watched(lambda layer: layer.weight.detach().t()[2:] + 1) == [("elsewhere", "add")]
    assert watched(lambda layer: layer.weight.data.flatten().sum()) == [("elsewhere", "sum")]


def test_copies_of_w_are_followed() -> None:
    copied = watched(lambda layer: layer.weight.detach().double().clone() * 2)
    assert copied == [("copy", "_to_copy"), ("copy", "clone"), ("elsewhere", "mul")]


def test_the_shape_of_w_is_nobodys_secret() -> None:
    def ask(layer: nn.Linear) -> None:
        torch.empty_like(layer.weight), torch.randn_like(layer.weight), layer.weight.new_zeros(3), layer.weight.shape

    assert watched(ask) == []


def test_signs_are_told_from_sizes() -> None:
    b = torch.ones(6, 7)
    assert watched(lambda layer: torch.copysign(b, layer.weight.detach())) == [("sign", "copysign")]
    assert watched(lambda layer: torch.copysign(layer.weight.detach(), b)) == [("elsewhere", "copysign")]
    assert watched(lambda layer: layer.weight.detach() > 0) == [("sign", "gt")]
    assert watched(lambda layer: layer.weight.detach() > 0.5) == [("elsewhere", "gt")]


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Linear(7, 6), normal(20, 7)),
        (nn.Linear(7, 6), normal(2, 5, 7)),
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), normal(3, 4, 5, 5)),
    ],
    ids=["linear", "linear over positions", "convolution"],
)
def test_a_layers_own_forward_map_may_read_w_also_in_bfloat16(layer: nn.Module, x: Tensor) -> None:
    def run(layer: nn.Module) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            layer(x)

    assert {reader for reader, _ in watched(run, layer, weight_reads.FORWARD)} == {"copy", "forward map"}
    plain = watched(lambda layer: layer(x), layer, weight_reads.FORWARD)
    assert [reader for reader, _ in plain] == ["forward map"]


def test_another_may_not() -> None:
    x = normal(20, 7)
    assert watched(lambda layer: F.linear(x, layer.weight.detach()), phase=weight_reads.FORWARD) == [
        ("elsewhere", "mm")
    ]
    assert watched(lambda layer: F.linear(x, layer.weight.detach())) == [("mirror map", "mm")]


def test_noise_through_the_transpose_is_no_mirror_map() -> None:
    assert watched(lambda layer: normal(9, 6) @ layer.weight.detach()) == [("elsewhere", "mm")]
    conv = nn.Conv2d(4, 6, 3)
    x = normal(2, 6, 5, 5)
    assert watched(lambda layer: F.conv_transpose2d(x, layer.weight.detach()), conv) == [("elsewhere", "convolution")]


def test_probes_that_read_w_out_exactly_are_known_whatever_they_are_called() -> None:
    probes = torch.linalg.qr(normal(7, 7))[0]
    assert watched(lambda layer: F.linear(3 * probes, layer.weight.detach())) == [("mirror map, exact", "mm")]
    assert watched(lambda layer: F.linear(torch.eye(7), layer.weight.detach())) == [("mirror map, exact", "mm")]
    assert watched(lambda layer: layer(torch.eye(7)), phase=weight_reads.FORWARD) == [("elsewhere", "mm")]
    impulses = torch.eye(36).view(36, 4, 3, 3)
    conv = nn.Conv2d(4, 6, 3)
    found = watched(lambda layer: torch.conv2d(impulses, layer.weight.detach()), conv)
    assert found == [("mirror map, exact", "convolution")]


def test_a_copy_that_outlives_its_step_is_named() -> None:
    layer, kept = nn.Linear(7, 6), []
    watch = WeightReadTracer({"layer": layer.weight})
    with watch:
        watch.at(weight_reads.AFTER_STEP)
        kept.append(layer.weight.detach().clone())
        watch.at(weight_reads.BETWEEN)
    assert [(read.layer, read.reader) for read in watch.reads] == [("layer", "copy"), ("layer", "kept copy")]


@pytest.mark.parametrize("swapped", [False, True])
def test_an_optimisers_step_on_lists_is_each_layers_own_unless_it_writes_one_layers_w_elsewhere(swapped: bool) -> None:
    """torch's fused optimisers take all weights in one operation; what counts is which W meets what in it."""
    weights = {name: normal(6, 7, seed=seed) for seed, name in enumerate(("one", "two"))}
    gradients, moments = ([normal(6, 7, seed=seed) for seed in range(first, first + 2)] for first in (3, 5))
    b = normal(6, 7, seed=9)
    watch = WeightReadTracer(weights, kept=[b])
    with watch:
        watch.at(weight_reads.OPTIMISER)
        moved = [*weights.values()]
        settings = {"weight_decay": 0.1, "momentum": 0.9, "lr": 0.1, "dampening": 0.0, "nesterov": False}
        if swapped:
            torch._foreach_add_([b], [weights["one"]])  # W goes into B while the optimiser steps
        else:
            torch._fused_sgd_(moved, gradients, moments, maximize=False, is_first_step=False, **settings)
    assert {read.reader for read in watch.reads} == ({"elsewhere"} if swapped else {"optimiser"})
