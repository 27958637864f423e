"""The cost of a training step under each rule: float32, bfloat16 and compiled."""

import statistics
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from gpu.options import BLOCK, Options, skipped, wait
from nowt.data.datasets import open_data
from nowt.rules.base import Rule
from nowt.training.state import TrainingState

FORMS = {"float32": ("float32", False), "bfloat16": ("bfloat16", False), "bfloat16, compiled": ("bfloat16", True)}


def print_steps(options: Options) -> None:
    """Print a table for each form. ``bp (again)`` is bp a second time: the measurement error."""
    rows = [*((rule.name, rule) for rule in options.rules), ("bp (again)", options.rules[0])]
    for form, (precision, compiled) in FORMS.items():
        if compiled and not options.compiles:
            continue
        if options.seconds_left < 0:
            skipped(form)
            return
        print(f"\n**{form}**\n", flush=True)
        seconds = _measure(options, rows, precision, compiled)  # prints a line for each row that it leaves out
        print("\n| rule | ms per step | x bp | images/s |\n| --- | ---: | ---: | ---: |")
        for name, found in seconds.items():
            ratio = statistics.median(one / bp for one, bp in zip(found, seconds["bp"], strict=False))
            typical = statistics.median(found)
            print(f"| {name} | {1e3 * typical:.1f} | {ratio:.3f} | {options.batch / typical:,.0f} |", flush=True)


def _measure(
    options: Options, rows: Sequence[tuple[str, Rule]], precision: str, compiled: bool
) -> dict[str, list[float]]:
    """Return seconds per step in each block, by row; each has its own network.

    The rules alternate block by block. Compiled, they follow one another: torch would compare each with all others at
    every step, because they share their code.
    """
    if not compiled:
        return _alternating(options, rows, precision, False)
    seconds: dict[str, list[float]] = {}
    for row in rows:
        torch.compiler.reset()
        seconds |= _alternating(options, [row], precision, True)
    return seconds


def _alternating(
    options: Options, rows: Sequence[tuple[str, Rule]], precision: str, compiled: bool
) -> dict[str, list[float]]:
    contenders: dict[str, TrainingState] = {}
    for name, rule in rows:
        if options.seconds_left < 0:
            skipped(name)
            continue
        contenders[name] = _contender(options, rule, precision, compiled)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(options.rounds):
        for name, training in contenders.items():
            if number == 0 or options.seconds_left > 0:
                seconds[name].append(_seconds_of_block(training, *_images(options, training)))
    return seconds


def _contender(options: Options, rule: Rule, precision: str, compiled: bool) -> TrainingState:
    """Return the training after one block, which warms it up and compiles it."""
    config = options.config(rule, precision, compiled)
    training = TrainingState.create(config, options.place, open_data(config.data, options.place, False))
    _seconds_of_block(training, *_images(options, training))
    return training


def _images(options: Options, training: TrainingState) -> tuple[Tensor, Tensor]:
    shape = (options.batch, *training.data.shape)
    x = torch.randn(shape, device=training.device).contiguous(memory_format=torch.channels_last)
    return x, torch.randint(training.data.classes, shape[:1], device=training.device)


def _seconds_of_block(training: TrainingState, x: Tensor, y: Tensor) -> float:
    wait(training.device)
    began = time.perf_counter()
    for _ in range(BLOCK):
        training.train_step(x, y)
    wait(training.device)
    return (time.perf_counter() - began) / BLOCK
