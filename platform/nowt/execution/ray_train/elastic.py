"""Determines how many workers a cluster has room for. Reservations test it, and request nodes from Ray's autoscaler."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock

import ray
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group

POLL_SECONDS = 0.5

PATIENCE = 10.0  # seconds to wait for resources for a larger group: those of a lost worker, or of a new node

MIN_SECONDS = 30.0  # seconds that a group trains before it makes way for a larger one


class Reservation:
    """Placement groups: one for each step from ``current`` workers to the next size."""

    def __init__(self, current: int, sizes: tuple[int, ...], resources_per_worker: Mapping[str, float]) -> None:
        larger = [size for size in sizes if size > current]
        steps = zip([current, *larger], larger, strict=False)
        self.current = current
        self.steps: dict[int, PlacementGroup] = {
            size: placement_group([dict(resources_per_worker)] * (size - before)) for before, size in steps
        }

    def size(self) -> int:
        """Return the largest size for which all resources are reserved."""
        size = self.current
        for larger, group in self.steps.items():
            if placement_group_table(group)["state"] != "CREATED":
                break
            size = larger
        return size

    def release(self) -> None:
        """Give all resources back."""
        for group in self.steps.values():
            with suppress(ray.exceptions.RayError):
                remove_placement_group(group)


def available_size(
    sizes: tuple[int, ...], resources_per_worker: Mapping[str, float], cancelled: Callable[[], bool]
) -> int:
    """Return the largest of ``sizes`` for which the cluster has resources. Waits for the smallest size, unless
    ``cancelled``. If there is a single size, Ray Train waits for it."""
    if len(sizes) == 1:
        return sizes[0]
    reservation = Reservation(0, sizes, resources_per_worker)
    try:
        end = time.monotonic() + PATIENCE
        while (size := reservation.size()) < sizes[-1] and not cancelled() and (size == 0 or time.monotonic() < end):
            time.sleep(POLL_SECONDS)
        return size or sizes[0]
    finally:
        reservation.release()


@dataclass
class ElasticSize:
    """Decides when a run's group of workers is replaced by a larger one. The driver's thread calls ``can_grow``; the
    group's thread calls ``group_started`` and ``release``."""

    sizes: tuple[int, ...]
    resources_per_worker: Mapping[str, float]
    size: int = 0  # of the current group; 0 if there is none
    started_at: float = 0.0
    min_seconds: float = MIN_SECONDS
    requested: bool = False  # the group has been asked to stop for a larger one
    reservation: Reservation | None = None
    lock: Lock = field(default_factory=Lock)

    def group_started(self, size: int) -> None:
        """Record that a group of ``size`` workers has started. If the group before stopped to grow and this one is no
        larger, double the wait before the next attempt, so that two studies do not take resources from each other
        forever."""
        with self.lock:
            if self.requested and size <= self.size:
                self.min_seconds *= 2
            self.size, self.started_at, self.requested = size, time.monotonic(), False

    def can_grow(self) -> bool:
        """Reserve resources for a larger group. Return True once they are reserved; the current group must then
        stop."""
        with self.lock:
            if (
                self.requested
                or not 0 < self.size < self.sizes[-1]
                or time.monotonic() < self.started_at + self.min_seconds
            ):
                return False
            self.reservation = self.reservation or Reservation(self.size, self.sizes, self.resources_per_worker)
            self.requested = self.reservation.size() > self.size
            return self.requested

    def release(self) -> None:
        """Free the reserved resources for the next group, after the current one has ended."""
        with self.lock:
            if self.reservation is not None:
                self.reservation.release()
            self.reservation = None
            self.started_at = math.inf
