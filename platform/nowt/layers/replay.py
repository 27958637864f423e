"""Repeats what layers map with W while W's memory holds other numbers.

The maps of a training step are recorded once. When the step is done again, each map returns what it returned before, so
that all activity is the same bit for bit. Code that reads W reads other numbers, and so does foreign code that calls a
map, such as a rule that maps unit vectors to read W.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import CodeType
from typing import Any

import torch
from torch import Tensor

from nowt.layers.callers import Callers, IsForeign
from nowt.layers.poisoning import MAPS, replaced_methods
from nowt.rules.feedback_layer import FeedbackLayer

Map = Callable[..., Tensor]


def no_code(code: CodeType) -> bool:
    """Return that some code is not foreign."""
    return False


Key = tuple[FeedbackLayer, str]  # a layer, and the name of its map


class MapsDiffer(RuntimeError):
    """A step that is done again calls a map more often than it did before, or with other shapes."""


@dataclass(frozen=True)
class RecordedMaps:
    """What the maps of some layers returned, in the order of their calls.

    Attributes:
        outputs: Copies of the outputs, on the layers' devices, by layer and map.
    """

    outputs: dict[Key, list[Tensor]] = field(default_factory=dict)


@contextmanager
def recorded_maps(layers: Sequence[FeedbackLayer], is_foreign: IsForeign = no_code) -> Iterator[RecordedMaps]:
    """Context manager that records what the layers, and those that share their W, map within the block.

    It needs the memory of their outputs. The block runs in eager mode, not compiled.

    Args:
        layers: The layers.
        is_foreign: Whether calls from some code are left out. Default: no code.
    """
    found = RecordedMaps()
    with _replaced(layers, partial(_recording, found, Callers(is_foreign))):
        yield found


@contextmanager
def replayed_maps(
    layers: Sequence[FeedbackLayer], recorded: RecordedMaps, is_foreign: IsForeign = no_code
) -> Iterator[None]:
    """Context manager within which each map returns what was recorded of the same call, whatever W is.

    Backward paths through B do not use W. Calls from foreign code are not replayed: they map with the present W. Raises
    MapsDiffer, within the block, if another call was not recorded.
    """
    queues = {key: deque(outputs) for key, outputs in recorded.outputs.items()}
    with _replaced(layers, partial(_replaying, queues, Callers(is_foreign))):
        yield


def _recording(recorded: RecordedMaps, callers: Callers, key: Key, function: Map) -> Map:
    outputs = recorded.outputs.setdefault(key, [])

    def mapped(*args: Any, **kwargs: Any) -> Tensor:
        y = function(*args, **kwargs)
        if not callers.are_foreign():
            outputs.append(y.detach().clone())  # the model may change y in place
        return y

    return mapped


def _replaying(queues: dict[Key, deque[Tensor]], callers: Callers, key: Key, function: Map) -> Map:
    queue = queues.get(key, deque())

    def mapped(*args: Any, **kwargs: Any) -> Tensor:
        y = function(*args, **kwargs)  # of other numbers, for the graph
        if callers.are_foreign():
            return y
        if not queue or queue[0].shape != y.shape:
            raise MapsDiffer(f"layer {key[0].name} maps more often than before, or another shape")
        y.data.copy_(queue.popleft())
        return y

    return mapped


@contextmanager
def _replaced(layers: Sequence[FeedbackLayer], replace: Callable[[Key, Map], Map]) -> Iterator[None]:
    with ExitStack() as undo:
        for layer in layers:
            for one in (layer, *layer.tied):
                undo.enter_context(replaced_methods(one, _methods(one, replace)))
        yield


def _methods(layer: FeedbackLayer, replace: Callable[[Key, Map], Map]) -> dict[str, Map]:
    maps = {name: replace((layer, name), getattr(layer, name)) for name in MAPS}
    forward = replace((layer, "forward"), layer.forward)
    return {**maps, "forward": _without_graph(layer.forward, forward)}


def _without_graph(function: Map, replaced: Map) -> Map:
    """Return a forward pass that calls ``replaced`` where no graph is built, as no map is called there."""

    def forward(*args: Any, **kwargs: Any) -> Tensor:
        return (function if torch.is_grad_enabled() else replaced)(*args, **kwargs)

    return forward
