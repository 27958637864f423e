"""The FLOPs of a rule's own methods, of one worker and of several; counting takes none of the run's seconds."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from nowt.core.distributed import SINGLE_WORKER, Group
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView
from nowt.training import rule_cost
from nowt.training.rule_cost import RuleCost
from nowt.training.step_timer import ClockTimer
from tests.support.nets import normal

W, IMAGES, SQUARE = normal(6, 5), normal(8, 5, seed=1), normal(5, 5)


@dataclass(frozen=True)
class Custom(FeedbackAlignment):
    """Does what the test says in ``after_step``."""

    name: ClassVar[str] = "custom"
    work: Any = None

    def after_step(self, layer: LayerView, step: int) -> None:
        self.work(step)


@dataclass
class Meeting:
    """What workers in threads exchange."""

    size: int
    values: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.size)


class Thread(Group):
    """A worker in a thread."""

    def __init__(self, rank: int, meeting: Meeting) -> None:
        self.rank, self.size, self.meeting = rank, meeting.size, meeting

    def gather(self, tensor: Tensor) -> list[Tensor]:
        self.meeting.values[self.rank] = tensor.clone()
        self.meeting.barrier.wait(60)
        found = [self.meeting.values[rank] for rank in range(self.size)]
        self.meeting.barrier.wait(60)
        return found


def flops(rule: Custom, group: Group = SINGLE_WORKER, steps: int = 2) -> float:
    """Return the FLOPs of the rule's work, which receives the worker."""
    cost = RuleCost(rule, group, ClockTimer())
    for _ in range(steps):
        cost.call(rule.work, group)
    return cost.settle()


def flops_of_workers(rule: Custom, size: int) -> list[float]:
    meeting, found = Meeting(size), [0.0] * size

    def work(rank: int) -> None:
        found[rank] = flops(rule, Thread(rank, meeting))

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def of_weights(group: Group) -> None:
    W @ W.t()


def of_images(group: Group) -> None:
    IMAGES[group.rank :: group.size] @ W.t()


def of_both(group: Group) -> None:
    of_weights(group)
    of_images(group)


def of_the_first_worker(group: Group) -> None:
    if group.rank == 0:
        of_weights(group)


def of_nothing(group: Group) -> None:
    W + W


A_PRODUCT, ALL_IMAGES = 2 * 6 * 5 * 6, 2 * 8 * 5 * 6


@pytest.mark.parametrize(
    ("work", "a_step"),
    [
        (of_weights, A_PRODUCT),
        (of_images, ALL_IMAGES),
        (of_both, A_PRODUCT + ALL_IMAGES),
        (of_the_first_worker, A_PRODUCT),
        (of_nothing, 0),
    ],
)
def test_repeated_work_counts_once_and_divided_work_is_added_up(work: Callable[[Group], None], a_step: int) -> None:
    rule = Custom(work=work)
    assert flops(rule) == 2 * a_step
    for size in (2, 4):
        assert flops_of_workers(rule, size) == [2 * a_step] * size


def test_a_settled_call_is_not_counted_again() -> None:
    cost = RuleCost(Custom(work=of_weights), SINGLE_WORKER, ClockTimer())
    cost.call(of_weights, SINGLE_WORKER)
    assert (cost.settle(), cost.settle()) == (A_PRODUCT, 0.0)


def test_the_seconds_of_a_step_contain_no_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def formula(*args: object, **kwargs: object) -> int:
        now[0] += 100.0
        return 7

    def work(group: Group) -> None:
        SQUARE @ SQUARE
        SQUARE + SQUARE
        now[0] += 3.0 + 2 * 0.5

    monkeypatch.setitem(flop_registry, torch.ops.aten.mm, formula)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr(rule_cost, "seconds_per_operation", lambda: 0.5)  # by which the counter delays an operation
    timer = ClockTimer()
    cost = RuleCost(Custom(work=work), SINGLE_WORKER, timer)
    with timer.step():
        cost.call(work, SINGLE_WORKER)
    assert (cost.settle(), timer.read()) == (7.0, 3.0)
