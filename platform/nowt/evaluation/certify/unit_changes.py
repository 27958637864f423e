"""What a step changes in each layer when single units or synapses are nudged, and which changes are the unit's own."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nowt.evaluation.certify.replayed_step import Nudge, ReplayedStep, learned
from nowt.rules.feedback_layer import FeedbackLayer

SIZE = 1e-4  # of a nudge, relative to the root mean square of the signal

FLOOR = 1e-6  # of a change per nudge, relative to the tensor: what is smaller may be rounding

TOLERANCE = 1e-5  # of a singular value: second-order effects of a nudge are about 1e-8

ACTIVITY = ("input", "output", "output error")


@dataclass(frozen=True)
class Changes:
    """The changes of what one layer learns, for each nudge, and which of them are the nudged unit's own.

    Attributes:
        name: The layer; empty for the parameters of no covered layer.
        nudges: The nudges; one per row.
        values: Changes per nudge, (nudges, entries).
        own: Whether an entry is in the row or column of the nudged unit, (nudges, entries).
        units: Input and output units of the layer.
        row: The entries of registered tensors of W's shape in the row of nudged synapses.
    """

    name: str
    nudges: list[Nudge]
    values: Tensor
    own: Tensor
    units: int
    row: Tensor

    def rank(self, rows: list[int]) -> int:
        """Return the rank of the changes for some nudges, outside of the rows and columns of all of them."""
        return _rank(self.values[rows][:, ~self.own[rows].any(0)]) if rows else 0

    def scalars(self) -> int:
        """Return the rank of all changes outside the rows and columns.

        A unit's own row is not part of its changes. So the rank is that of some of the nudges, where none of them has
        own entries: half of the units, all input units but one, or all output units but one.
        """
        if not bool((self.values * ~self.own).abs().gt(TOLERANCE).any()):
            return 0
        return max(1, *(self.rank([i for i, nudge in enumerate(self.nudges) if chosen(nudge)]) for chosen in CHOICES))

    def of(self, *kinds: str) -> list[int]:
        """Return the rows of the layer's own nudges of these kinds."""
        return [i for i, nudge in enumerate(self.nudges) if nudge.layer == self.name and nudge.kind in kinds]

    def elsewhere(self) -> list[int]:
        """Return the rows of the nudges in other layers."""
        return [i for i, nudge in enumerate(self.nudges) if nudge.layer != self.name]

    def row_ranks(self) -> tuple[int, int]:
        """Return the ranks of the changes when synapses of one row of B are nudged: in that row, and elsewhere."""
        rows = self.of("feedback")
        outside = ~self.own[rows].any(0)
        values = self.values[rows]
        return _rank(values[:, outside & self.row]), _rank(values[:, outside & ~self.row])


def _in_half(nudge: Nudge, half: int) -> bool:
    return nudge.kind not in ACTIVITY or nudge.index[0] % 2 == half


CHOICES: tuple[Callable[[Nudge], bool], ...] = (
    lambda nudge: _in_half(nudge, 0),
    lambda nudge: _in_half(nudge, 1),
    lambda nudge: nudge.kind == "input" and nudge.index[0] > 0,
    lambda nudge: nudge.kind == "output" and nudge.index[0] > 0,
)


def _rank(values: Tensor) -> int:
    if 0 in values.shape or not bool(values.abs().gt(TOLERANCE).any()):
        return 0
    singular = torch.linalg.svdvals(values[values.abs().amax(1) > 0])
    return int((singular > TOLERANCE * max(1.0, float(singular[0]))).sum())


def measure_changes(step: ReplayedStep, synapses: int | None = None) -> list[Changes]:
    """Nudge each unit and some synapses of each layer, in both directions, and return the changes by layer.

    ``synapses`` is the number of synapses whose gradient is nudged. Default None: two more than the layer has units.
    """
    nudges = [nudge for layer in step.testbed.layers for nudge in _nudges(step, layer, synapses)]
    differences: dict[str, list[list[Tensor]]] = {name: [] for name in (*step.layers, "")}
    for nudge in nudges:
        one, other = step.run(nudge, SIZE), step.run(nudge, -SIZE)
        for name, rows in differences.items():
            rows.append([(a - b).flatten() / (2 * SIZE) for a, b in zip(one[name], other[name], strict=True)])
    start = step.run()
    return [_scaled(step, name, nudges, rows, start[name]) for name, rows in differences.items() if rows[0]]


def _scaled(
    step: ReplayedStep, name: str, nudges: list[Nudge], rows: list[list[Tensor]], start: list[Tensor]
) -> Changes:
    """Divide the changes of each tensor by their largest under nudged activity."""
    by_tensor = [torch.stack(tensors) for tensors in zip(*rows, strict=True)]
    active = [i for i, nudge in enumerate(nudges) if nudge.kind in ACTIVITY]
    scaled = []
    for value, tensor in zip(by_tensor, start, strict=True):
        largest = max(float(value[active].abs().max()), FLOOR * float(tensor.abs().max()))
        scaled.append(value / (largest or 1.0))
    values = torch.cat(scaled, 1)
    layer = step.layers.get(name)
    if layer is None:
        nothing = torch.zeros(values.shape[1], dtype=torch.bool)
        return Changes(name, nudges, values, torch.zeros_like(values, dtype=torch.bool), 0, nothing)
    own = torch.stack([_own_entries(layer, nudge) for nudge in nudges])
    units = layer.geometry.input_shape[0] + layer.geometry.output_shape[0]
    return Changes(name, nudges, values, own, units, _row_entries(layer, _row(layer)))


def _nudges(step: ReplayedStep, layer: FeedbackLayer, synapses: int | None) -> Iterator[Nudge]:
    """Yield the nudges of a layer: all units, some synapses, and some of B's synapses in one row."""
    outputs, inputs = layer.weight.shape[:2]
    units = {"input": inputs, "output": outputs}
    if "output_error" in step.rule.signals and layer is not layer.output_layer:
        units["output error"] = _classes(layer)
    for kind, count in units.items():
        yield from (Nudge(layer.name, kind, (unit,)) for unit in range(count))
    pairs = torch.randperm(inputs * outputs, generator=torch.Generator().manual_seed(0)).tolist()
    for pair in pairs[: inputs + outputs + 2 if synapses is None else synapses]:
        yield Nudge(layer.name, "gradient", divmod(pair, inputs))
    if any(layer.get_parameter(name).shape == layer.weight.shape for name in layer.state_names):
        yield from (Nudge(layer.name, "feedback", (_row(layer), unit)) for unit in range(min(3, inputs - 1)))


def _classes(layer: FeedbackLayer) -> int:
    """Return the number of units of the output error."""
    weight = layer.output_layer.weight
    assert isinstance(weight, Tensor)
    return len(weight)


def _row(layer: FeedbackLayer) -> int:
    return layer.weight.shape[0] // 2


def _row_entries(layer: FeedbackLayer, row: int) -> Tensor:
    """Return which entries are in one row of registered tensors of W's shape."""
    marks = [torch.zeros(tensor.shape, dtype=torch.bool) for tensor in learned(layer)]
    first = 1 if layer.bias is None else 2
    for mark in marks[first:]:
        if mark.shape == layer.weight.shape:
            mark[row] = True
    return torch.cat([mark.flatten() for mark in marks])


def _own_entries(layer: FeedbackLayer, nudge: Nudge) -> Tensor:
    """Return which entries are in the row or column of the nudged unit, or of the nudged synapse."""
    marks = [torch.zeros(tensor.shape, dtype=torch.bool) for tensor in learned(layer)]
    for mark in marks if nudge.layer == layer.name else ():
        if mark.shape == layer.weight.shape:
            _mark_weights(mark, nudge)
        else:
            for shape, unit in _units(layer, nudge):
                _mark_units(mark, shape, unit)
    return torch.cat([mark.flatten() for mark in marks])


def _mark_weights(mark: Tensor, nudge: Nudge) -> None:
    if nudge.kind == "input":
        mark[:, nudge.index[0]] = True
    elif nudge.kind != "output error":
        mark[nudge.index] = True


def _units(layer: FeedbackLayer, nudge: Nudge) -> list[tuple[tuple[int, ...], int]]:
    """Return the nudged units, each with the shape of a sample of all units of its kind."""
    inputs, outputs = layer.geometry.input_shape, layer.geometry.output_shape
    if nudge.kind == "output error":
        return [((_classes(layer),), nudge.index[0])]
    if nudge.kind in ACTIVITY:
        return [(inputs if nudge.kind == "input" else outputs, nudge.index[0])]
    return [(outputs, nudge.index[0]), (inputs, nudge.index[1])]


def _mark_units(mark: Tensor, shape: tuple[int, ...], unit: int) -> None:
    """Mark what belongs to a unit in a tensor that has a dimension for units, or for units and positions."""
    positions = math.prod(shape[1:])
    for dim, size in enumerate(mark.shape):
        if size == shape[0]:
            mark.select(dim, unit).fill_(True)
        elif size == shape[0] * positions:
            mark.narrow(dim, unit * positions, positions).fill_(True)
