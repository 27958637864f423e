"""Counts the products of a block of code at little cost: it records shapes, to which formulas are applied later."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

# an operation, and the shapes of its arguments, keyword arguments and results; or None and the FLOPs
Product = tuple[Any, tuple[Any, ...], tuple[tuple[str, Any], ...], Any]

REPEATS = 10  # of the measurement of a delay, of which the shortest counts


class ProductCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the matrix products, convolutions and attention within the block, as torch's FlopCounterMode does.

    FlopCounterMode computes FLOPs while the block runs, which makes small operations ten times slower.

    Args:
        fingerprints: Also record a number for each product that depends on its factors.

    Attributes:
        products: The products, in order.
        fingerprints: Their fingerprints, () each in float64; empty unless asked for.
        operations: Number of operations.
        seconds: Time spent on recording, without the time that torch needs to call the counter.
    """

    supports_higher_order_operators = True

    def __init__(self, fingerprints: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: list[Product] = []
        self.fingerprints: list[Tensor] = []
        self.operations = 0
        self.seconds = 0.0
        self._takes_fingerprints = fingerprints

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call ``func`` and record it if it is a product."""
        start = time.perf_counter()
        kwargs, kind = kwargs or {}, _kind(func)
        if kind == "composite":
            with self:
                return func.decompose(*args, **kwargs)
        self.operations += 1
        if kind != "plain" and self._takes_fingerprints:
            self._add_fingerprint(args)  # before an operation that may change an argument in place
        begin = time.perf_counter()
        result = self._count_at_once(func, args, kwargs) if kind == "opaque" else func(*args, **kwargs)
        end = time.perf_counter()
        if kind == "product":
            named = tuple((name, _shapes(value)) for name, value in kwargs.items())
            self.products.append((func._overloadpacket, _shapes(args), named, _shapes(result)))
        self.seconds += begin - start + time.perf_counter() - end
        return result

    def _count_at_once(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with FlopCounterMode(display=False) as counter:
            result = func(*args, **kwargs)
        self.products.append((None, (counter.get_total_flops(),), (), None))
        return result

    def _add_fingerprint(self, args: Any) -> None:
        factors = [leaf.detach() for leaf in tree_leaves(args) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
        sums = [place * factor.sum(dtype=torch.float64) for place, factor in enumerate(factors, 1)]
        self.fingerprints.append(torch.stack(sums).sum() if sums else torch.zeros((), dtype=torch.float64))


def flops_of(product: Product) -> int:
    """Return the FLOPs of a product, by torch's formula."""
    packet, args, named, result = product
    return int(args[0] if packet is None else flop_registry[packet](*args, **dict(named), out_val=result))


@cache
def seconds_per_operation() -> float:
    """Return by how many seconds torch delays an operation on the CPU to call ``ProductCounter``.

    It is measured once per process, as the mean of small operations of several kinds.
    """
    plain = min(_run_operations() for _ in range(REPEATS))
    counted = min(_run_operations(ProductCounter()) for _ in range(REPEATS))
    return max(0.0, counted - plain)


def _run_operations(counter: ProductCounter | None = None) -> float:
    """Return the mean seconds of small operations, without those that a counter spends itself."""
    x, y, rounds = torch.zeros(8, 8), torch.zeros(8, 8), 20
    with counter or nullcontext():
        start = time.perf_counter()
        for _ in range(rounds):
            x.mul_(0.5).add_(y, alpha=0.1).copy_(y).t()
            torch.mm(x, y).sum()
        seconds = time.perf_counter() - start
    return (seconds - (counter.seconds if counter else 0.0)) / (6 * rounds)


@cache
def _kind(func: Any) -> Literal["plain", "product", "composite", "opaque"]:
    """Return what an operation is: no product, a product, several operations (in inference mode), or one whose formula
    needs more than shapes."""
    if isinstance(func, torch._ops.HigherOrderOperator):
        return "opaque"
    formula = flop_registry.get(func._overloadpacket)
    if formula is not None:
        return "opaque" if getattr(formula, "_get_raw", False) else "product"
    return "composite" if func._can_decompose() else "plain"


def _shapes(value: Any) -> Any:
    """Return shapes in place of tensors; lists become tuples, which can be keys."""
    if isinstance(value, Tensor):
        return value.shape
    return tuple(map(_shapes, value)) if isinstance(value, list | tuple) else value
