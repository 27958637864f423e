"""How many workers there is room for. Ray says so by what it reserves, and its autoscaler learns what is wanted."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock

import ray
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group

LOOK = 0.5  # seconds

PATIENCE = 10.0  # seconds for which a smaller group waits for room for a larger one: a lost worker's, or a new node's

STEADY = 30.0  # seconds that a group works before it makes way for a larger one


class Reservation:
    """Reservations, one for each step from ``have`` workers to the next size."""

    def __init__(self, have: int, sizes: tuple[int, ...], each: Mapping[str, float]) -> None:
        larger = [size for size in sizes if size > have]
        steps = zip([have, *larger], larger, strict=False)
        self.have = have
        self.steps: dict[int, PlacementGroup] = {
            size: placement_group([dict(each)] * (size - before)) for before, size in steps
        }

    def size(self) -> int:
        """The largest size for which all is reserved."""
        size = self.have
        for larger, group in self.steps.items():
            if placement_group_table(group)["state"] != "CREATED":
                break
            size = larger
        return size

    def release(self) -> None:
        """Give all of it back."""
        for group in self.steps.values():
            with suppress(ray.exceptions.RayError):
                remove_placement_group(group)


def room_for(sizes: tuple[int, ...], each: Mapping[str, float], over: Callable[[], bool]) -> int:
    """The largest of ``sizes`` that there is room for, each worker taking ``each``; waits for the smallest, unless
    ``over``. A single size is Ray Train's to wait for."""
    if len(sizes) == 1:
        return sizes[0]
    room = Reservation(0, sizes, each)
    try:
        end = time.monotonic() + PATIENCE
        while (size := room.size()) < sizes[-1] and not over() and (size == 0 or time.monotonic() < end):
            time.sleep(LOOK)
        return size or sizes[0]
    finally:
        room.release()


@dataclass
class ElasticSize:
    """Watches, for the driver, whether a run's group of workers could be larger; one thread asks, another begins."""

    sizes: tuple[int, ...]
    each: Mapping[str, float]
    size: int = 0  # of the group at work; none is
    since: float = 0.0
    steady: float = STEADY
    asked: bool = False  # the group was asked to make way
    room: Reservation | None = None
    lock: Lock = field(default_factory=Lock)

    def began(self, size: int) -> None:
        """A group of ``size`` is at work. One that made way for no larger one does so only after twice the time: two
        studies must not take the same room from each other for ever."""
        with self.lock:
            if self.asked and size <= self.size:
                self.steady *= 2
            self.size, self.since, self.asked = size, time.monotonic(), False

    def possible(self) -> bool:
        """Whether the group is to make way now for a larger one, for which the room is reserved."""
        with self.lock:
            if self.asked or not 0 < self.size < self.sizes[-1] or time.monotonic() < self.since + self.steady:
                return False
            self.room = self.room or Reservation(self.size, self.sizes, self.each)
            self.asked = self.room.size() > self.size
            return self.asked

    def release(self) -> None:
        """The group is gone: what was reserved is for the next."""
        with self.lock:
            if self.room is not None:
                self.room.release()
            self.room = None
            self.since = math.inf
