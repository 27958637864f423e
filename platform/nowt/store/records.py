"""The records of an epoch log as frozen dataclasses: runs, attempts, epochs, layers."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from typing import Any, Literal

from nowt.store.audits import Audit

TRANSPORT_DETECTED = "transport detected"  # an audit found that the rule reads W

State = Literal["missing", "running", "finished", "diverged", "failed", "stopped", "transport detected"]

FINAL_STATES = ("finished", "diverged")  # states with a result; a failed run is repeated the next time its study starts

FAILED_STATES = ("failed", TRANSPORT_DETECTED)

SCHEMA = 1

NAN = float("nan")

MEASURES = ("matrix_angle", "delta_angle", "norm_ratio")  # of a layer

IMAGE_FIELDS = ("test_correct", "test_images")  # of an epoch that recorded single images; other epochs lack them

Machines = Mapping[str, int]  # number of machines per node type; empty if they have no types


@dataclass(frozen=True)
class Layer:
    """How one layer's feedback weights align with its weights after an epoch. Undefined values are NaN.

    Attributes:
        name: The layer's name in the model.
        depth: Position of the layer in the model's definition, from 0; the output layer is the last, wherever it is
            defined.
        matrix_angle: Angle between B and W, in degrees.
        delta_angle: Angle between δ at the layer's output and the δ of backprop, in degrees; mean over the probe's
            samples whose δ is not 0. NaN if these are fewer than half of the samples.
        norm_ratio: Norm of B divided by that of W.
        through_feedback: Whether the error passes through a layer with a B on its way to this one. If it does not, as
            at the output layer, its δ is the same under every rule, and aggregates leave out ``delta_angle``. None in
            logs of earlier versions.
    """

    name: str
    depth: int
    matrix_angle: float
    delta_angle: float
    norm_ratio: float
    through_feedback: bool | None = None


@dataclass(frozen=True)
class Epoch:
    """The measurements after one epoch; epoch 0 is the untrained network.

    Losses are means over images. Costs are totals over the run so far.

    Attributes:
        epoch: Number of the epoch.
        step: Optimizer steps so far.
        lr: Learning rate of the last step; 0 at epoch 0.
        train_loss: Loss on the epoch's training images, as they were presented; NaN at epoch 0.
        train_error: Fraction of them that was misclassified, 0 to 1; NaN at epoch 0.
        val_loss: Loss on the validation images.
        val_error: Fraction of the validation images that was misclassified, 0 to 1.
        test_loss: Loss on the test images; NaN if the epoch did not score them.
        test_error: Fraction of the test images that was misclassified, 0 to 1; NaN if the epoch did not
            score them.
        presentations: Training images shown to the network.
        mirror_presentations: Mirror samples shown to its layers: batch entries per layer, averaged over the layers.
        flops: Floating-point operations of training, including mirror mode.
        seconds: Time in training steps, including mirror mode.
        probe_seconds: Time in the alignment probe.
        layers: The alignment of each layer that has a B, from the input to the output; empty at epochs without a probe.
        test_correct: Which test images were classified correctly, in their order: base64 of ``numpy.packbits``, which
            ``nowt.store.correct_images.unpack_correct`` reads. Recorded after the last epoch; otherwise empty.
        test_images: Number of test images in ``test_correct``; otherwise 0.

    Example:
        >>> from nowt import KolenPollack, Placement, recipes, train
        >>> config = recipes.shrink_config(recipes.digits(KolenPollack()), epochs=1, images=64)
        >>> epoch = list(train(config, Placement(device="cpu")))[-1]
        >>> epoch.epoch, epoch.presentations, epoch.mirror_presentations
        (1, 256, 0)
        >>> sorted(epoch.cost)
        ['flops', 'presentations', 'seconds']
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_error: float
    val_loss: float
    val_error: float
    test_loss: float
    test_error: float
    presentations: int
    mirror_presentations: int
    flops: float
    seconds: float
    probe_seconds: float
    layers: tuple[Layer, ...] = ()
    test_correct: str = ""
    test_images: int = 0

    @property
    def cost(self) -> dict[str, float]:
        """Presentations (including mirror samples), FLOPs and seconds of training so far."""
        shown = self.presentations + self.mirror_presentations
        return {"presentations": float(shown), "flops": self.flops, "seconds": self.seconds}


@dataclass(frozen=True)
class Span:
    """One attempt at a run: the times of its first and its latest line, in milliseconds since 1970."""

    begin: int
    end: int
    machines: Machines = field(default_factory=dict)  # of the cluster when the attempt began, by node type
    epoch: int = -1  # the last epoch before the attempt; -1 for the first attempt
    changed: Mapping[str, Any] = field(default_factory=dict)  # facts that differ from those of the start line


@dataclass(frozen=True)
class RunLog:
    """One run, as read from its log."""

    key: str
    start: dict[str, Any]  # the start line: config, fingerprint, classes, versions, git, time
    epochs: tuple[Epoch, ...] = ()
    times: tuple[int, ...] = ()  # milliseconds since 1970 at which each epoch was logged
    workers: tuple[int, ...] = ()  # number of workers that shared the run, per epoch
    state: str = "running"  # running, finished, diverged, failed, transport detected
    reason: str = ""
    attempts: int = 1
    spans: tuple[Span, ...] = ()  # one per attempt
    spent: dict[str, float] = field(default_factory=dict)  # cost of a diverged run, including its last epoch
    audits: tuple[Audit, ...] = ()  # audited steps

    @property
    def changes(self) -> list[str]:
        """A sentence for each attempt whose versions, commit or other facts differ from those of the start."""
        spans = enumerate(self.spans, 1)
        return [
            f"attempt {n} (after epoch {max(s.epoch, 0)}): {_changes(self.start, s)}" for n, s in spans if s.changed
        ]

    @property
    def rule_name(self) -> str:
        """The name that a custom rule gives itself; empty for other rules, and in logs of earlier versions."""
        return str(self.start.get("rule_name", ""))

    @property
    def earlier_keys(self) -> tuple[str, ...]:
        """The keys that the run had before ``nowt upgrade``, the first one first."""
        return tuple(each["key"] for each in self.start.get("earlier", ()))

    def extended_to(self, time_ms: int) -> "RunLog":
        """Return the run, with its current attempt lasting until ``time_ms``."""
        last = self.spans[-1] if self.spans else Span(time_ms, time_ms)
        return replace(self, spans=(*self.spans[:-1], replace(last, end=time_ms)))

    def with_epochs(self, epochs: Sequence[Epoch], times: Sequence[int], workers: Sequence[int]) -> "RunLog":
        """Return the run with these epochs added: all at once, since each call copies those that it has."""
        if not epochs:
            return self
        return replace(
            self.extended_to(times[-1]),
            epochs=(*self.epochs, *epochs),
            times=(*self.times, *times),
            workers=(*self.workers, *workers),
        )

    @property
    def cost(self) -> dict[str, float]:
        """The cost of the run so far, as in ``Epoch.cost``; empty if it logged no epoch."""
        return self.spent or (self.epochs[-1].cost if self.epochs else {})

    @property
    def last_epoch(self) -> int:
        """The last logged epoch; -1 if there is none."""
        return self.epochs[-1].epoch if self.epochs else -1


def changed_facts(start: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts about code, packages and data that differ from those in a log's start line.

    The config is left out: the run key covers it, except for the paths of custom files. So is the name of the
    certificate, which depends on code and versions. Of the facts that consist of several, such as the versions, only
    those that differ are returned.
    """
    changed: dict[str, Any] = {}
    for name in now.keys() - {"config", "certificate"}:
        before, after = start.get(name), now[name]
        if isinstance(after, Mapping) and isinstance(before, Mapping):
            after = {key: value for key, value in after.items() if before.get(key) != value}
            changed |= {name: after} if after else {}
        elif after != before and name in start:
            changed[name] = after
    return dict(sorted(changed.items()))


def _changes(start: Mapping[str, Any], span: Span) -> str:
    """Return what an attempt changed, as text such as ``torch 2.9 instead of 2.8``."""
    parts = []
    for name, after in span.changed.items():
        before = start.get(name)
        if not isinstance(after, Mapping) or not isinstance(before, Mapping):
            parts.append(f"{name} {_short(after)} instead of {_short(before)}")
            continue
        prefix = "" if name in ("versions", "git") else f"{name} "
        parts += [f"{prefix}{key} {_short(value)} instead of {_short(before.get(key))}" for key, value in after.items()]
    return ", ".join(parts)


def _short(value: Any) -> str:
    """Return a value as text of at most 40 characters; a commit by its first 12."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "none" if value in (None, "") else str(value)
    return text[:12] if len(text) == 40 and set(text) <= set("0123456789abcdef") else text[:40]


def rule_label(name: str, label: str) -> str:
    """Return a rule for display: a custom one by its ``name`` and the ``label`` of its file, any other by its label."""
    return f"{name} ({label})" if name else label


def chance_error(classes: int) -> float:
    """Return the error of guessing among equally frequent classes, with which a diverged run counts."""
    return 1 - 1 / classes


def values_over_layers(measure: str, layers: Sequence[Layer]) -> list[float]:
    """Return the values that an aggregate of ``measure`` over layers covers; empty if the aggregate is undefined.

    It is undefined if it is undefined in one of the layers: in a dead or exploded network, the remaining layers would
    look aligned. δ angles that are 0° under every rule, such as that of the output layer, are left out.
    """
    covered = layers_through_feedback(layers) if measure == "delta_angle" else layers
    values = [float(getattr(layer, measure)) for layer in covered]
    return values if all(map(math.isfinite, values)) else []


def layers_through_feedback(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers whose δ depends on the rule. In logs that do not say so, these are all but the deepest."""
    deepest = max((layer.depth for layer in layers), default=0)
    return [one for one in layers if (one.depth < deepest if one.through_feedback is None else one.through_feedback)]


def median_over_layers(measure: str, layers: Sequence[Layer]) -> float:
    """Return the median of ``values_over_layers``; NaN if it is undefined."""
    values = values_over_layers(measure, layers)
    return statistics.median(values) if values else NAN


def epoch_to_json(epoch: Epoch) -> dict[str, Any]:
    """Return the epoch as plain JSON data, NaN as null; without IMAGE_FIELDS if it has none."""
    data = asdict(epoch)
    if not epoch.test_correct:
        data = {name: value for name, value in data.items() if name not in IMAGE_FIELDS}
    data["layers"] = [_finite(layer) for layer in data["layers"]]
    return _finite(data)


def epoch_from_json(data: dict[str, Any]) -> Epoch:
    """Return the epoch that ``epoch_to_json`` wrote."""
    layers = tuple(_layer(layer) for layer in data["layers"])
    epoch: Epoch = _build(Epoch, {"test_correct": "", "test_images": 0, **data, "layers": layers})
    return epoch


def _layer(data: dict[str, Any]) -> Layer:
    names = (name for name in _field_names(Layer) if name != "through_feedback")  # where None is a value
    numbers: dict[str, Any] = {name: NAN if data[name] is None else data[name] for name in names}
    return Layer(**numbers, through_feedback=data.get("through_feedback"))


def _finite(data: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in data.items()}


def _build(kind: Any, data: dict[str, Any]) -> Any:
    return kind(**{name: NAN if data[name] is None else data[name] for name in _field_names(kind)})


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind))
