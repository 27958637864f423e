"""The result of the null-space test of a training step that nowt did not write."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from nowt.core.formatting import counted
from nowt.evaluation.certify.certificate import render

BOUND = 1e-9  # relative change that rounding explains, in float64

WHOLE = "the model"  # in place of the empty name of a model that is itself a layer


@dataclass(frozen=True)
class ExaminedLayer:
    """One layer or other module with weights: its size, and what the test found, or why it was not examined.

    Attributes:
        name: Dotted name in the model.
        fan_in: Inputs of one unit; 0 if the layer was not called.
        rank: Dimensions that its inputs span in a step; it was examined if they are fewer than ``fan_in``.
        change: Largest relative change of its gradients and of its parameters' updates.
        not_examined: The reason; empty if it was.
    """

    name: str
    fan_in: int
    rank: int
    change: float
    not_examined: str = ""


@dataclass(frozen=True)
class StepCertificate:
    """What the null-space test found in a training step.

    Attributes:
        function: The function that built model and step, as ``MODULE:FUNCTION``.
        layers: The layers, and the other modules with weight matrices.
        steps: Number of steps that were compared: up to the first one with a change.
        compared: Number of tensors that were compared.
        changes: Relative change of each tensor that changed by more than ``BOUND``, the largest first.
        largest: The largest relative change of all.
        versions: Versions of nowt and torch.
    """

    function: str
    layers: tuple[ExaminedLayer, ...]
    steps: int
    compared: int
    changes: Mapping[str, float]
    largest: float
    versions: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether nothing changed."""
        return not self.changes

    @property
    def verdict(self) -> str:
        """What was found, in a sentence without its full stop."""
        if self.changes:  # gradients first, which say more than the state of an optimizer
            gradients = [name for name in self.changes if name.startswith("gradient")]
            name = [*gradients, *self.changes][0]
            change = self.changes[name]
            return f"reads W: {name} changes by {change:.1g}"
        rest = [layer.name or WHOLE for layer in self.layers if layer.not_examined]
        scope = f" in the layers that were examined; not examined: {', '.join(rest)}" if rest else ""
        return f"no read of W beyond forward activity found in this step{scope}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, including ``passed`` and ``verdict``. Infinity is written as text."""
        data = asdict(self) | {"changes": {name: _number(value) for name, value in self.changes.items()}}
        layers = [{**asdict(layer), "change": _number(layer.change)} for layer in self.layers]
        largest = _number(self.largest)
        return {
            "schema": 1,
            **data,
            "layers": layers,
            "largest": largest,
            "passed": self.passed,
            "verdict": self.verdict,
        }

    def table(self, width: int = 140) -> str:
        """Return the result as text for a terminal ``width`` characters wide."""
        table = Table(
            "layer", "fan-in", "rank of its inputs", "largest change", "", box=box.SIMPLE_HEAD, pad_edge=False
        )
        for layer in self.layers:
            change = "-" if layer.not_examined else f"{layer.change:.0e}"
            cells = (layer.name or WHOLE, str(layer.fan_in or "-"), str(layer.rank or "-"), change, _outcome(layer))
            table.add_row(*(Text(cell) for cell in cells))
        compared = f"{counted(self.compared, 'tensor')} compared in {counted(self.steps, 'step')}"
        verdict = f"{self.function}: {self.verdict[0].upper()}{self.verdict[1:]}."
        changed = [f"  {name}: {change:.0e}" for name, change in [*self.changes.items()][:10]]
        parts = [
            verdict,
            render(table, width),
            f"{compared}; largest relative change {self.largest:.0e}, bound {BOUND:.0e}",
        ]
        return "\n\n".join([*parts, *(["\n".join(["largest changes:", *changed])] if changed else [])])


def _outcome(layer: ExaminedLayer) -> str:
    if layer.not_examined:
        return f"not examined: {layer.not_examined}"
    return "shows a read of W" if layer.change > BOUND else "examined"


def _number(value: float) -> float | str:
    return value if value < float("inf") else "infinity"
