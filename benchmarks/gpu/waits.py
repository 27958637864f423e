"""How often a training step and a mirror step make the CPU wait for the device."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gpu.options import Options, skipped, wait
from nowt.data.datasets import open_data
from nowt.rules.base import Rule
from nowt.training.state import TrainingState


class Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations that read a number of a tensor, or that take or return a tensor of another device."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.count = device, 0

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None) -> Any:
        """Call ``func`` and count it if it reads or copies."""
        result = func(*args, **(kwargs or {}))
        devices = {leaf.device.type for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)}
        self.count += func is torch.ops.aten._local_scalar_dense.default or bool(devices - {self.device.type})
        return result


def waits_of(act: Callable[[], object], device: torch.device) -> tuple[int, int | None]:
    """Return how often ``act`` reads or copies, and how often it waits as CUDA reports; None without CUDA."""
    with Reads(device) as reads:
        act()
    if device.type != "cuda":
        return reads.count, None
    wait(device)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            act()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return reads.count, sum("synchroniz" in str(each.message) for each in caught)


def print_waits(options: Options) -> None:
    """Print the counts of each rule, on images that are on the device already."""
    print("| rule | step | reads and copies | waits that CUDA reports |\n| --- | --- | ---: | ---: |")
    for rule in options.rules:
        if options.seconds_left < 0:
            skipped(rule.name)
            return
        for step, (reads, waits) in _counts(options, rule).items():
            print(f"| {rule.name} | {step} | {reads} | {'–' if waits is None else waits} |", flush=True)


def _counts(options: Options, rule: Rule) -> dict[str, tuple[int, int | None]]:
    config = options.config(rule)
    training = TrainingState.create(config, options.place, open_data(config.data, options.place, False))
    images = torch.randn(options.batch, *training.data.shape, device=training.device)
    labels = torch.randint(training.data.classes, (options.batch,), device=training.device)

    def step() -> None:
        training.train_step(images, labels)

    step()  # the first step checks the rule, which reads all of its state
    found = {}
    interval = getattr(rule, "interval", 0)
    if interval:
        training.step = interval - 1
        step()  # keeps what depends on shapes, and counts the products of a mirror step
    found["training"] = waits_of(step, training.device)
    if interval:

        def mirror() -> None:
            training.step = interval - 1
            step()

        found["training and mirror"] = waits_of(mirror, training.device)
    return found
