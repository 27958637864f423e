"""What an epoch log holds, as frozen dataclasses: epochs, layers, attempts, runs."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

State = Literal["missing", "running", "finished", "diverged", "failed", "stopped"]

OVER = (
    "finished",
    "diverged",
)  # a result; a failed run is the machine's fault and is tried again at the next start

SCHEMA = 1

NAN = float("nan")


Machines = Mapping[str, int]  # how many of each node type; empty where they have no types


@dataclass(frozen=True)
class Layer:
    """How one layer's feedback stands to its weights after an epoch. NaN: undefined."""

    name: str
    depth: int  # 0 is the layer next to the input
    matrix_angle: float  # degrees between B and W
    delta_angle: float  # degrees between δ at the layer's output and the δ of backprop, mean over the probe's samples
    norm_ratio: float  # |B| / |W|


@dataclass(frozen=True)
class Epoch:
    """What was measured after one epoch; epoch 0 is the network before learning. Costs are sums since the start."""

    epoch: int
    step: int  # optimiser steps so far
    lr: float  # learning rate of the last step
    train_loss: float  # mean over the epoch's training pictures, as they were presented
    train_error: float  # share of them classified wrongly, 0 to 1
    val_loss: float
    val_error: float
    test_loss: float  # NaN where the test pictures were not opened
    test_error: float
    presentations: int  # training pictures shown to the network
    mirror_presentations: int  # mirror samples shown to its layers (one a layer's batch entry / number of layers)
    flops: float  # floating point operations of training, mirror mode included
    seconds: float  # time in training steps, mirror mode included
    probe_seconds: float  # time in the alignment probe
    layers: tuple[Layer, ...] = ()

    @property
    def cost(self) -> dict[str, float]:
        """Presentations (mirror samples included), FLOPs and seconds of training so far."""
        shown = self.presentations + self.mirror_presentations
        return {"presentations": float(shown), "flops": self.flops, "seconds": self.seconds}


@dataclass(frozen=True)
class Span:
    """One attempt at a run: its begin and its last line so far, milliseconds since 1970."""

    begin: int
    end: int
    machines: Machines = field(default_factory=dict)  # of the cluster when it began, by node type


@dataclass(frozen=True)
class RunLog:
    """One run as its log tells it."""

    key: str
    start: dict[str, Any]  # the start line: config, fingerprint, classes, versions, git, time
    epochs: tuple[Epoch, ...] = ()
    times: tuple[int, ...] = ()  # milliseconds since 1970 at which each epoch was logged
    workers: tuple[int, ...] = ()  # that shared the run at the end of each epoch
    state: str = "running"  # running, finished, diverged, failed
    reason: str = ""
    attempts: int = 1
    spans: tuple[Span, ...] = ()  # an attempt each
    spent: dict[str, float] = field(default_factory=dict)  # of one that diverged: its cost, the last epoch included

    def heard_at(self, time_ms: int) -> "RunLog":
        """The run, the attempt in progress longer by a line of that time."""
        last = self.spans[-1] if self.spans else Span(time_ms, time_ms)
        return replace(self, spans=(*self.spans[:-1], replace(last, end=time_ms)))

    def with_epoch(self, epoch: Epoch, time_ms: int, workers: int) -> "RunLog":
        """The run, one epoch longer."""
        longer = replace(self.heard_at(time_ms), epochs=(*self.epochs, epoch), times=(*self.times, time_ms))
        return replace(longer, workers=(*self.workers, workers))

    @property
    def cost(self) -> dict[str, float]:
        """What the run cost so far, as Epoch.cost; empty where it logged nothing."""
        return self.spent or (self.epochs[-1].cost if self.epochs else {})

    @property
    def last_epoch(self) -> int:
        """The last epoch that was logged; -1 where there is none."""
        return self.epochs[-1].epoch if self.epochs else -1


def epoch_to_json(epoch: Epoch) -> dict[str, Any]:
    """The epoch as plain JSON data, NaN as null."""
    data = asdict(epoch)
    data["layers"] = [_finite(layer) for layer in data["layers"]]
    return _finite(data)


def epoch_from_json(data: dict[str, Any]) -> Epoch:
    """The epoch that ``epoch_to_json`` wrote."""
    layers = tuple(_build(Layer, layer) for layer in data["layers"])
    epoch: Epoch = _build(Epoch, {**data, "layers": layers})
    return epoch


def _finite(data: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in data.items()}


def _build(kind: type[Any], data: dict[str, Any]) -> Any:
    return kind(**{f.name: NAN if data[f.name] is None else data[f.name] for f in fields(kind)})
