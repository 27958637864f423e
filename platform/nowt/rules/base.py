"""The interface between a learning rule and the layers it acts on: ``Rule``, ``Moment`` and ``FeedbackLayer``."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from nowt.core.distributed import SINGLE_WORKER, Group
from nowt.core.fields import check_fields, make_plain
from nowt.rules.mirror_work import MirrorWork
from nowt.rules.own_weight import OWN_WEIGHT_ADVICE, has_own_weight
from nowt.rules.schedule import Schedule


@dataclass(frozen=True)
class Moment:
    """The point in training at which ``Rule.before_learning`` or ``Rule.after_step`` is called.

    Args:
        step: Number of optimizer steps done so far; 0 before learning.
        seed: Seed of the mirror noise. A rule derives its generators from it, the layer's name and ``step``, so that a
            resumed run draws the same noise.
        group: The workers that train this run together. B must be the same on all of them after the call. Default: one
            worker.
        schedule: The length of an epoch and the turnover of W. Default None: unknown, as in your own loop.

    Example:
        >>> from nowt import Moment
        >>> Moment(step=0, seed=1).group.size
        1
    """

    step: int
    seed: int
    group: Group = SINGLE_WORKER
    schedule: Schedule | None = None


@dataclass(frozen=True)
class Rule:
    """Base class of learning rules; the fields of a subclass are its hyperparameters.

    A rule decides which weights B carry the error back through each layer, and how B changes. A subclass is a frozen
    dataclass with a class attribute ``name``. Its methods are called in this order:

    1. ``covers``, ``check_layer`` and ``prepare``: once per layer, by ``attach``.
    2. ``before_learning``: once, before the first step.
    3. ``propagate``: at every forward pass with gradients enabled, once per layer. By default it uses ``feedback``.
    4. ``before_step``: at every step, when the gradients of W are reduced over workers and clipped.
    5. ``after_step``: at every step, when the optimizer has updated the weights.

    Every method has a default, so a rule overrides only what it changes. Rules that draw B at random derive from
    ``nowt.rules.feedback.DrawnFeedback``.

    A rule keeps state only in tensors that ``prepare`` registers on a layer (``layer.register_state``), and changes it
    in ``before_learning`` and ``after_step``. ``propagate`` may leave a layer's activity in an attribute for the same
    step's ``after_step``, but must not change state, since alignment probes call it, too. Statistics of a batch are
    summed over the workers with ``moment.group``. ``train`` raises an error where it finds that a rule does otherwise.

    Attributes:
        name: Name of the rule. Configs and logs name a custom rule by its file, and tables and figures by both.
        numerics: Version of the rule's numbers, part of every run key. Increase it whenever the same fields give
            other numbers. For a custom rule it is a hash of its code and of the local modules that this imports.
        transports: What the rule reads of W on purpose: ``"sign"``, ``"weight"`` or, by default, nothing (``""``).
        source: Absolute path of the file that defines a custom rule; empty for built-in rules and for those of
            installed packages.
        learns_from: What B learns from. ``""`` (default): B is fixed. ``"gradient"``: B is in the optimizer's parameter
            group of W. ``"mirror"``: mirror samples, whose FLOPs are recorded. ``"weight"``: W itself.

    Example:
        A rule whose error passes through the signs of the current W:

        >>> from dataclasses import dataclass
        >>> from typing import ClassVar
        >>> import torch
        >>> from nowt import Rule, attach
        >>> @dataclass(frozen=True)
        ... class Signs(Rule):
        ...     name: ClassVar[str] = "signs"
        ...     transports: ClassVar[str] = "sign"
        ...
        ...     def feedback(self, layer):
        ...         return layer.weight.detach().sign()
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2))
        >>> (layer,) = attach(model, Signs())
        >>> x = torch.zeros(1, 3, requires_grad=True)
        >>> model(x).sum().backward()
        >>> torch.equal(x.grad[0], layer.weight.sign().sum(0))
        True
    """

    name: ClassVar[str]
    numerics: ClassVar[int | str] = 1
    transports: ClassVar[str] = ""
    source: ClassVar[str] = ""
    learns_from: ClassVar[Literal["", "gradient", "mirror", "weight"]] = ""

    def __post_init__(self) -> None:
        """Raise ConfigError unless each field has its declared type and each number is finite.

        NumPy's numbers become Python's. A subclass that has its own checks calls ``super().__post_init__()`` first.
        """
        make_plain(self)
        check_fields(self, "rule.")

    def covers(self, name: str, last: bool) -> bool:
        """Return whether the rule applies to the layer ``name``; ``last``: it is the last layer of the network.

        Layers that are not covered use backprop. Default: every layer is covered.
        """
        return True

    def check_layer(self, name: str, last: bool, layer: nn.Module) -> None:
        """Raise ValueError unless the rule works on a layer that it covers. ``attach`` has not changed the layer yet.

        Default: if B learns, W must be a parameter of the layer, and W must be trained if B learns from its gradient.
        """
        if self.learns_from and not has_own_weight(layer):
            sources = ", ".join(n for n, _ in layer.named_parameters(recurse=False) if n.startswith("weight"))
            raise ValueError(
                f"layer {name} computes its weight from other parameters ({sources}), so its B cannot learn by rule "
                f"{self.name}: {OWN_WEIGHT_ADVICE}, use a rule with a fixed B such as fa, or "
                f"{self.exclusion(name, last)}"
            )
        weight = cast(Tensor, layer.weight)
        if self.learns_from == "gradient" and weight.dtype in HALF:
            raise ValueError(HALF_WEIGHT.format(layer=name, rule=self.name, dtype=weight.dtype))
        if self.learns_from == "gradient" and not weight.requires_grad:
            raise ValueError(
                f"layer {name} is not trained (its weight has requires_grad=False), so its B never learns by rule "
                f"{self.name}: train the layer, or {self.exclusion(name, last)}"
            )

    def exclusion(self, name: str, last: bool) -> str:
        """Return how to leave the layer ``name`` to backprop, for error messages."""
        return "leave it to backprop by a custom rule whose covers() returns False for it"

    def prepare(self, layer: "FeedbackLayer", seed: int) -> None:
        """Register on ``layer`` what the rule stores there, with ``layer.register_state``.

        ``seed`` is the seed of B. Draw from a generator of (seed, layer name), so that rules of one seed share B.
        """

    def feedback(self, layer: "FeedbackLayer") -> Tensor:
        """Return the weights that carry the error back through ``layer``, in the shape of W."""
        return layer.feedback

    def propagate(self, layer: "FeedbackLayer", x: Tensor) -> Tensor:
        """Return the layer's output for ``x``, with the rule's backward path attached.

        Override it in a rule whose error does not pass through a matrix of W's shape (direct feedback alignment), or
        that uses a layer's activity.
        """
        return layer.apply_with_feedback(x, self.feedback(layer))

    def before_learning(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int | MirrorWork:
        """Called once, before the first training step. Return the number of mirror samples shown to each layer."""
        return 0

    def noise_streams(self) -> int:
        """Return how many streams of mirror noise the workers divide among them; 1: all workers draw the same one."""
        return 1

    def before_step(self, layers: Sequence["FeedbackLayer"], optimizer: torch.optim.Optimizer) -> None:
        """Called after gradients are reduced and clipped, before ``optimizer.step()``."""

    def after_step(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int | MirrorWork:
        """Called after ``optimizer.step()``. Return the number of mirror samples shown to each layer."""
        return 0

    def shortened(self, pace: float) -> "Rule":
        """Return the rule for a run with ``pace`` times as many steps: work before learning is scaled by ``pace``."""
        return self


HALF = (torch.float16, torch.bfloat16)

HALF_WEIGHT = (
    "layer {layer} has weights in {dtype}, in which the small updates by which rule {rule} aligns B are rounded away: "
    "keep W in float32 and use torch.autocast"
)


def check_own_weights(layers: Sequence["FeedbackLayer"]) -> None:
    """Raise ValueError if a layer whose B learns from W has been pruned or parametrized since ``attach``."""
    for layer in layers:
        if not has_own_weight(layer):
            raise ValueError(
                f"layer {layer.name} now computes its weight from other parameters, so its B cannot learn by rule "
                f"{layer.rule.name}: {OWN_WEIGHT_ADVICE}"
            )


NONLINEARITIES = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "linear": torch.clone}


class FeedbackLayer(nn.Module, ABC):
    """A convolution or linear layer whose error passes back through its rule's B; the base of both layer classes.

    ``attach`` makes these layers from torch's own; do not construct them. A rule uses the members below.
    All of W, B, the output of ``outer_product_sum`` and ``tap_counts`` are in W's layout, so the papers' "B = Wᵀ" reads
    ``feedback == weight``.

    Attributes:
        weight: W; (out, in) or (out, in / groups, kh, kw).
        bias: The bias, (out,), or None.
        feedback: B, in W's shape where the rule uses ``apply_with_feedback``. Never requires a gradient.
        largest: Upper bound of redrawn magnitudes; registered by sign-symmetry alone.
        rule: The attached rule.
        name: Dotted name of the layer in its model.
        activation: Nonlinearity above the layer, a key of ``NONLINEARITIES``; ``"linear"`` for the last layer.
        output_layer: Last layer of the network, whose error direct feedback broadcasts.
        use_backprop: Whether forward passes attach backprop's backward path instead of the rule's. Set by
            ``nowt.layers.using_backprop`` to measure the reference. Default: False.
        map_size: Height and width of the layer's input; None for linear layers and without an example input.
        through_feedback: Whether the error passes through a covered layer on its way to this one; None until an
            alignment probe has found out.
        tied: Other layers with the same W, which share this layer's B. Rules receive only the first layer of each W.

    Example:
        >>> import torch
        >>> from nowt import FeedbackAlignment, FeedbackLayer, attach
        >>> (layer,) = attach(torch.nn.Sequential(torch.nn.Linear(4, 3)), FeedbackAlignment())
        >>> isinstance(layer, FeedbackLayer), layer.name, layer.fan_in
        (True, '0', 4)
        >>> layer.feedback.shape == layer.weight.shape, layer.feedback.requires_grad
        (True, False)
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    feedback: Tensor
    largest: Tensor
    rule: Rule
    name: str
    activation: str
    output_layer: nn.Module
    use_backprop: bool = False
    map_size: tuple[int, int] | None = None
    through_feedback: bool | None = None
    tied: tuple["FeedbackLayer", ...] = ()

    def register_state(self, name: str, value: Tensor) -> None:
        """Register a tensor that is saved and moved with the layer but never receives a gradient from autograd."""
        self.register_parameter(name, nn.Parameter(value, requires_grad=False))

    def nonlinearity(self, y: Tensor) -> Tensor:
        """Return φ(y)."""
        return NONLINEARITIES[self.activation](y)

    @property
    def fan_in(self) -> int:
        """Number of weights of one output unit."""
        return self.weight[0].numel()

    @abstractmethod
    def apply_with_feedback(self, x: Tensor, feedback: Tensor) -> Tensor:
        """Return W x + bias; the error passes back through ``feedback``, which has W's shape."""

    @abstractmethod
    def apply_weight(self, x: Tensor, padded: bool = True) -> Tensor:
        """Return W x, without bias and nonlinearity (mirror mode)."""

    @abstractmethod
    def outer_product_sum(self, x: Tensor, y: Tensor, padded: bool = True) -> Tensor:
        """Return Σ y xᵀ over samples (and positions), in W's shape."""

    @abstractmethod
    def probe_shape(self, samples: int, extent: int) -> tuple[int, ...]:
        """Return the shape of an input whose output has ``extent`` positions per side."""

    @abstractmethod
    def orthonormal_probes(self, stream: torch.Generator) -> Tensor:
        """Return ``fan_in`` orthonormal inputs that together reach every weight once."""

    @abstractmethod
    def positions(self, x: Tensor) -> int:
        """Return the number of samples times the number of output positions for ``x``."""

    @abstractmethod
    def has_unreached_weights(self, shape: tuple[int, ...]) -> bool:
        """Return whether some weights see only padding for an input of ``shape``."""

    @abstractmethod
    def tap_counts(self, x: Tensor) -> Tensor | int:
        """Return how many samples and positions reach each tap of the kernel (fewer at a padded border)."""

    @abstractmethod
    def sampling_error(self, shape: tuple[int, ...]) -> float:
        """Return tan² of the angle between W and the mean of y xᵀ over normal noise x of ``shape``, in expectation for
        W with independent entries."""
