"""The FLOPs that a rule spends in its own methods, outside the forward and backward pass."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nowt.core.distributed import Group
from nowt.rules.base import Rule, noise_streams
from nowt.rules.mirror_work import MirrorWork
from nowt.training.product_counter import Product, ProductCounter, flops_of, seconds_per_operation
from nowt.training.step_timer import ClockTimer, StepTimer

BUILT_IN = "nowt.rules."  # package of the rules whose cost is known

# FLOPs of a product and its fingerprint, which two workers share if both compute the same
Work = Counter[tuple[float, float]]


@dataclass
class RuleCost:
    """Counts the FLOPs of a rule before learning, before and after the optimizer's step.

    These are the FLOPs that one worker would need if it trained the run alone: what the workers divide among themselves
    is added up, and what all of them repeat counts once. So they do not depend on the number of workers.

    Products are counted as by torch's FlopCounterMode: matrix products, convolutions and attention; all other work
    counts as 0. Built-in rules compute products in mirror mode only, and these cost the same for every mirror sample;
    they are counted once. A custom rule may do anything at any step, so every call is counted. Which of its products
    several workers repeat is seen by the factors: a product with equal factors is the same one.

    Counting is left out of the seconds of ``timer``.
    """

    rule: Rule
    group: Group
    timer: StepTimer
    per_sample: float = 0.0  # FLOPs of a mirror sample over all layers; 0 until it is measured
    _samples: float = 0  # mirror samples of a built-in rule that are not settled yet
    _flops: float = 0.0  # FLOPs that a rule has reported and that are not settled yet
    _first: tuple[list[Product], float] | None = None  # the first products of a built-in rule, and their mirror samples
    _products: Counter[Product] = field(default_factory=Counter)  # not settled yet
    _shared: list[tuple[list[Product], Tensor]] = field(default_factory=list)  # of each call, with fingerprints
    _equal: dict[Product, Product] = field(default_factory=dict)  # each product once, so that lists of them are small

    def __post_init__(self) -> None:
        on_cpu = isinstance(self.timer, ClockTimer)
        self._delay = seconds_per_operation() if on_cpu and self._needs_counting else 0.0

    def call(self, act: Callable[..., float | MirrorWork | None], *arguments: Any) -> float:
        """Do a part of the rule's step; return the mirror samples that it showed to each layer."""
        if self._is_known:
            return self._settle_later(act(*arguments) or 0)
        with ProductCounter(fingerprints=self._is_compared) as counter:
            work = act(*arguments) or 0
        shown = work.samples if isinstance(work, MirrorWork) else work
        start = time.perf_counter()
        self._add(counter, shown)
        delay = counter.operations * self._delay + counter.seconds
        self.timer.exclude(delay + time.perf_counter() - start)
        return shown

    def _settle_later(self, work: float | MirrorWork) -> float:
        """Add work whose cost is known; return its mirror samples."""
        if isinstance(work, MirrorWork):
            self._flops += work.flops
            return work.samples
        self._samples += work
        return work

    def settle(self) -> float:
        """Return the FLOPs of all calls since the last ``settle``. All workers must call it."""
        flops = float(sum(count * flops_of(product) for product, count in self._products.items()))
        if self._is_compared:
            flops += _flops_of_union(self.group, self._work())
        if self._first is not None:
            products, shown = self._first
            self.per_sample = sum(map(flops_of, products)) * self._workers / shown
        flops += self.per_sample * self._samples + self._flops
        self._samples, self._flops, self._first, self._products, self._shared = 0, 0.0, None, Counter(), []
        return flops

    def _add(self, counter: ProductCounter, shown: float) -> None:
        if self._is_built_in:
            self._samples += shown
            self._first = (counter.products, shown) if shown else None
        elif not self._is_compared:
            self._products.update(counter.products)
        elif counter.products:
            products = [self._equal.setdefault(product, product) for product in counter.products]
            self._shared.append((products, torch.stack(counter.fingerprints)))

    def _work(self) -> Work:
        """Return the products that this worker has computed."""
        flops = {product: float(flops_of(product)) for product in self._equal}
        work: Work = Counter()
        for call, fingerprints in self._shared:
            work.update(zip((flops[product] for product in call), fingerprints.nan_to_num().tolist(), strict=True))
        return work

    @property
    def _is_known(self) -> bool:
        """Whether calls need not be counted: the cost of a mirror sample is measured, or there are none."""
        if not self._is_built_in:
            return False
        noise = self.rule.mirror_noise()
        if noise is None or noise.target_angle is not None:  # it returns its FLOPs
            return True
        return self.per_sample > 0 or self._first is not None

    @property
    def _is_built_in(self) -> bool:
        return _is_built_in(type(self.rule))

    @property
    def _needs_counting(self) -> bool:
        return not self._is_built_in or self.rule.learns_from == "mirror"

    @property
    def _is_compared(self) -> bool:
        """Whether several workers may repeat or divide what a custom rule computes."""
        return self.group.size > 1 and not self._is_built_in

    @property
    def _workers(self) -> int:
        """Number of workers that divide the mirror samples of a built-in rule among themselves."""
        return 1 if noise_streams(self.rule) == 1 else self.group.size


def _flops_of_union(group: Group, work: Work) -> float:
    """Return the FLOPs of the work of all workers, where what several of them did counts once."""
    rows = torch.tensor([[*key, count] for key, count in work.items()], dtype=torch.float64).reshape(-1, 3)
    longest = max(int(each) for each in group.gather(torch.tensor(len(rows))))
    padded = torch.zeros(longest, 3, dtype=torch.float64)
    padded[: len(rows)] = rows
    union: Work = Counter()
    for each in group.gather(padded):
        union |= Counter({(flops, fingerprint): int(count) for flops, fingerprint, count in each.tolist()})
    return sum(flops * count for (flops, _), count in union.items())


def _is_built_in(defined: Any) -> bool:
    return bool(defined.__module__.startswith(BUILT_IN))
