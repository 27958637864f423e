"""Products are counted as torch's FlopCounterMode counts them, without slowing the operations down."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from nowt.training.product_counter import ProductCounter, flops_of, seconds_per_operation
from tests.support.nets import batch, conv_net, normal

A, B = normal(4, 4), normal(4, 4, seed=1)


def backward() -> None:
    x, y = batch()
    F.cross_entropy(conv_net()(x), y).backward()


def inference() -> None:
    with torch.inference_mode():
        F.linear(A, B) @ A


def attention() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x = normal(2, 5, 8)
    layer(x, x, x, need_weights=False)[0].sum().backward()


BLOCKS: dict[str, Callable[[], object]] = {
    "product": lambda: A @ B,
    "sum of products": lambda: torch.addmm(A, A, B, alpha=0.5),
    "einsum": lambda: torch.einsum("ij,kj->ik", A, B),
    "batches": lambda: torch.baddbmm(normal(2, 4, 4), normal(2, 4, 4), normal(2, 4, 4)),
    "convolution": lambda: F.conv2d(normal(1, 2, 5, 5), normal(4, 1, 3, 3), stride=2, groups=2),
    "forward and backward pass": backward,
    "inference mode": inference,
    "attention": attention,
    "no product": lambda: (A + B).sum().sqrt(),
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("fingerprints", [False, True])
def test_flops_are_those_of_torchs_counter(name: str, fingerprints: bool) -> None:
    with FlopCounterMode(display=False) as expected:
        BLOCKS[name]()
    with ProductCounter(fingerprints) as counter:
        BLOCKS[name]()
    assert sum(map(flops_of, counter.products)) == expected.get_total_flops()
    assert (expected.get_total_flops() > 0) == (name != "no product")
    assert len(counter.fingerprints) == (len(counter.products) if fingerprints else 0)


def test_no_formula_is_evaluated_while_the_block_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def formula(*args: object, **kwargs: object) -> int:
        evaluated.append(args)
        return 7

    evaluated: list[object] = []
    monkeypatch.setitem(flop_registry, torch.ops.aten.mm, formula)
    with ProductCounter() as counter:
        result = A @ B
    assert evaluated == [] and torch.equal(result, A @ B)
    assert [flops_of(product) for product in counter.products] == [7]


def fingerprint(a: Tensor, b: Tensor) -> float:
    with ProductCounter(fingerprints=True) as counter:
        a @ b
    return float(counter.fingerprints[0])


def test_a_fingerprint_depends_on_the_factors_and_their_order_alone() -> None:
    assert fingerprint(A, B) == fingerprint(A.clone(), B.clone().requires_grad_())
    assert len({fingerprint(A, B), fingerprint(B, A), fingerprint(A, A), fingerprint(A, B + 1e-6)}) == 4


def test_the_delay_of_an_operation_is_measured_once_and_not_negative() -> None:
    assert 0 <= seconds_per_operation() == seconds_per_operation() < 1
