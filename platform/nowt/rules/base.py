"""The interface of a learning rule: ``Rule``."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from nowt.core.fields import check_fields, make_plain
from nowt.rules.initialization import Initialization
from nowt.rules.layer_view import LayerView
from nowt.rules.mirror_noise import MirrorNoise, MirrorSamples


@dataclass(frozen=True)
class Rule:
    """Base class of learning rules; the fields of a subclass are its hyperparameters.

    A rule decides which weights B carry the error back through each layer, and how B changes. A subclass is a frozen
    dataclass with a class attribute ``name``. It declares in ``signals`` what it uses of its layers and receives only
    that. Every method has a default, so a rule overrides only what it changes. Rules that draw B at random derive from
    ``DrawnFeedback``. Methods receive a ``LayerView``, one layer at a time, in this order:

    1. ``covers``, ``initialization`` and ``prepare``: once per layer, by ``attach``.
    2. ``observe_mirror``: for a rule with mirror noise, before the first step and after steps.
    3. ``observe``: in every forward pass of training.
    4. ``feedback`` or ``send_back``, and ``observe_error``: in every backward pass of training.
    5. ``observe_gradient``: at every step, when gradients are reduced over workers and clipped, before W changes.
    6. ``after_step``, then ``observe_weight`` and ``observe_mirror``: when the optimizer has updated W.

    ===================  =============================================================  ============================
    signal               what it is                                                     received by
    ===================  =============================================================  ============================
    ``"input"``          x, the layer's input                                           ``observe``, ``send_back``
    ``"preactivation"``  W x + bias, the layer's output                                 ``observe``
    ``"error"``          δ, the error at the layer's output                             ``observe_error``, ``send_back``
    ``"output_error"``   the loss's gradient at the network's output                    ``observe_error``, ``send_back``
    ``"gradient"``       W's final gradient                                             ``observe_gradient``, or B
    ``"mirror"``         noise, and the layer's responses to it                         ``observe_mirror``
    ``"sign"``           the signs of W, which nowt copies to B after each step         nothing
    ``"weight"``         W: weight transport                                            ``observe_weight``
    ===================  =============================================================  ============================

    A rule keeps state only in tensors that ``prepare`` registers (``layer.register_state``), and changes it in place,
    in ``observe_gradient``, ``observe_mirror``, ``observe_weight`` and ``after_step``. ``observe``, ``observe_error``
    and ``send_back`` may leave tensors in ``layer.cache`` for the later methods of the same step. Statistics of a batch
    are summed over the workers with ``layer.sum_over_workers``.

    Attributes:
        name: Name of the rule. Configs and logs name a custom rule by its file, and tables and figures by both.
        numerics: Version of the rule's numbers, part of every run key. Increase it whenever the same fields give
            other numbers. For a custom rule it is a hash of its code and of the local modules that this imports.
        signals: What the rule uses of its layers, from the table. Default: nothing.
        update: ``""`` (default), or ``"with_weight"``: B is in the optimizer's parameter group of W and receives W's
            final gradient. It needs the signal ``"gradient"``.
        scalars: Number of global scalars that the updates of a layer use beside the activity of a synapse's own two
            units, such as the mean error of all units, or the norm of B. Default 0; at most 3 can be measured. The
            certificate fails if a rule that declares scalars uses more.
        source: Absolute path of the file that defines a custom rule; empty for built-in rules and for those of
            installed packages.

    Example:
        A rule that sends the error back through the signs of the initial B:

        >>> from dataclasses import dataclass
        >>> from typing import ClassVar
        >>> import torch
        >>> from nowt import DrawnFeedback, attach
        >>> @dataclass(frozen=True)
        ... class Signs(DrawnFeedback):
        ...     name: ClassVar[str] = "signs"
        ...
        ...     def feedback(self, layer):
        ...         return layer.feedback.sign()
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2))
        >>> (layer,) = attach(model, Signs())
        >>> x = torch.zeros(1, 3, requires_grad=True)
        >>> model(x).sum().backward()
        >>> torch.equal(x.grad[0], layer.feedback.sign().sum(0))
        True
    """

    name: ClassVar[str]
    numerics: ClassVar[int | str] = 1
    signals: ClassVar[tuple[str, ...]] = ()
    update: ClassVar[Literal["", "with_weight"]] = ""
    scalars: ClassVar[int] = 0
    source: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Raise ConfigError unless each field has its declared type and each number is finite.

        NumPy's numbers become Python's. A subclass that has its own checks calls ``super().__post_init__()`` first.
        """
        make_plain(self)
        check_fields(self, "rule.")

    @property
    def transports(self) -> Literal["", "sign", "weight"]:
        """What the rule reads of W on purpose: its sign, W itself, or nothing."""
        if "weight" in self.signals:
            return "weight"
        return "sign" if "sign" in self.signals else ""

    @property
    def learns_from(self) -> Literal["", "gradient", "mirror", "weight", "activity"]:
        """What B learns from; empty if B is fixed. ``activity`` also stands for errors."""
        if "mirror" in self.signals:
            return "mirror"
        if "gradient" in self.signals:
            return "gradient"
        if "sign" in self.signals or overrides(self, "observe_weight"):
            return "weight"
        return "activity" if any(overrides(self, name) for name in ("observe", "observe_error", "after_step")) else ""

    def covers(self, name: str, last: bool) -> bool:
        """Return whether the rule applies to the layer ``name``; ``last``: it is the last layer of the network.

        Layers that are not covered use backprop. Default: every layer is covered.
        """
        return True

    def exclusion(self, name: str, last: bool) -> str:
        """Return how to leave the layer ``name`` to backprop, for error messages."""
        return "leave it to backprop by a custom rule whose covers() returns False for it"

    def initialization(self) -> Initialization | None:
        """Return how nowt draws B. Default None: ``prepare`` registers what the rule needs."""
        return None

    def rate(self) -> float:
        """Return the learning rate of B divided by that of W, for ``update = "with_weight"``. Default 1.0.

        B's gradient is multiplied by it; the weight decay of B is that of W.
        """
        return 1.0

    def mirror_noise(self) -> MirrorNoise | None:
        """Return the noise that ``observe_mirror`` receives; for the signal ``"mirror"``, which needs it."""
        return None

    def prepare(self, layer: LayerView) -> None:
        """Register the rule's tensors with ``layer.register_state``. B is drawn already if ``initialization`` says
        so. Random numbers come from ``layer.random``."""

    def feedback(self, layer: LayerView) -> Tensor:
        """Return the weights that carry the error back through ``layer``, in the shape of W. Default: B."""
        found: Tensor = layer.feedback
        return found

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        """Return the error at the layer's input, in the shape of ``x``: for a rule whose error does not pass through a
        matrix of W's shape.

        Args:
            layer: The layer.
            error: δ at the layer's output, with the signal ``"error"``; zeros otherwise.
            x: The layer's input, with the signal ``"input"``; zeros otherwise.
            output_error: The loss's gradient at the network's output, with the signal ``"output_error"``.
        """
        raise NotImplementedError

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        """Receive the layer's input and output in a forward pass; None where the signal is not declared."""

    def observe_error(self, layer: LayerView, error: Tensor | None, output_error: Tensor | None) -> None:
        """Receive the errors in a backward pass; None where the signal is not declared."""

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        """Receive W's final gradient, and η and λ of its parameter group, before W changes."""

    def observe_mirror(self, layer: LayerView, samples: MirrorSamples) -> None:
        """Receive noise and responses of a mirror step."""

    def observe_weight(self, layer: LayerView, weight: Tensor) -> None:
        """Receive W after each step, and once after ``prepare``: weight transport."""

    def after_step(self, layer: LayerView, step: int) -> None:
        """Change B, when ``step`` optimizer steps are done."""

    def shortened(self, pace: float) -> "Rule":
        """Return the rule for a run with ``pace`` times as many steps: work before learning is scaled by ``pace``.

        Only fields that are whole numbers may change.
        """
        return self


def overrides(rule: Rule, method: str) -> bool:
    """Return whether the rule has its own version of a method of ``Rule``."""
    return getattr(type(rule), method) is not getattr(Rule, method)


def noise_streams(rule: Rule) -> int:
    """Return how many streams of mirror noise the workers divide among themselves; 1: all draw the same one."""
    noise = rule.mirror_noise()
    return 1 if noise is None else noise.streams
