"""A layer's forward pass with its rule's backward path, and what the rule observes of both."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nowt.core.errors import ConfigError
from nowt.layers.transforms import is_transformed
from nowt.layers.views import check_sent, feedback_matrix, view_of
from nowt.rules.base import Rule, overrides
from nowt.rules.feedback_layer import FeedbackLayer

NO_GRAPH = (
    "nowt: a rule that overrides feedback() or send_back(), or that observes activity or errors, runs outside of the "
    "graph: compile without fullgraph=True"
)


class OutputError:
    """A forward hook of the network's last layer, which keeps the loss's gradient at its output.

    Every way from the loss to another layer passes the last layer, so its backward pass comes first.
    """

    def __init__(self) -> None:
        self.error: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        """Keep the gradient at ``output``, when it arrives."""
        self.error = None
        if output.requires_grad:
            output.register_hook(self._keep)  # type: ignore[no-untyped-call]

    def _keep(self, error: Tensor) -> None:
        self.error = error.detach()

    def get(self, name: str) -> Tensor:
        """Return the gradient. Raises ConfigError, with the name of the layer that asks, if there is none."""
        if self.error is None:
            raise ConfigError(
                f"the error reaches layer {name} before the network's last layer, so there is no output error yet: "
                "pass example to attach, which shows which layer is the last one"
            )
        return self.error


def is_plain(rule: Rule) -> bool:
    """Return whether the error passes through ``layer.feedback`` and the rule observes nothing on the way."""
    return not any(overrides(rule, name) for name in ("feedback", "send_back", "observe", "observe_error"))


def propagate(layer: FeedbackLayer, x: Tensor) -> Tensor:
    """Return the layer's output for ``x``, with the rule's backward path attached."""
    if layer.plain:
        return layer.apply_with_feedback(x, layer.feedback)
    y: Tensor = _propagate(layer, x)
    return y


@torch.compiler.disable(reason=NO_GRAPH)  # type: ignore[no-untyped-call, untyped-decorator]
def _propagate(layer: FeedbackLayer, x: Tensor) -> Tensor:
    rule = layer.rule
    _check_transforms(layer)
    if overrides(rule, "send_back"):
        y: Tensor = _OwnPath.apply(x, layer.apply_plain(x.detach()), sender(layer, x))
    else:
        y = layer.apply_with_feedback(x, feedback_matrix(layer))
    if layer.observed and layer.training:
        show_activity(layer, x, y)
        if overrides(rule, "observe_error") and y.requires_grad:
            y.register_hook(receiver(layer))  # type: ignore[no-untyped-call]
    return y


def _check_transforms(layer: FeedbackLayer) -> None:
    """Raise ConfigError in a transform of ``torch.func``, whose tensors must not leave it, if the rule keeps some."""
    observes = overrides(layer.rule, "observe") or overrides(layer.rule, "observe_error")
    if not (overrides(layer.rule, "send_back") or (observes and layer.observed and layer.training)):
        return
    if is_transformed():
        raise ConfigError(
            f"rule {layer.rule.name} receives activity or errors, which torch.func does not give away: use "
            "loss.backward() or torch.autograd.grad"
        )


@torch.no_grad()
def show_activity(layer: FeedbackLayer, x: Tensor, y: Tensor) -> None:
    """Show the layer's input and output to the rule, as far as they are its signals."""
    rule, signals = layer.rule, layer.rule.signals
    if overrides(rule, "observe"):
        # a nonlinearity may change y in place
        output = y.detach().clone() if "preactivation" in signals else None
        input_ = x.detach() if "input" in signals else None
        with _explained(layer, "observe", {"x": ("input", input_), "y": ("preactivation", output)}):
            rule.observe(view_of(layer), input_, output)


def receiver(layer: FeedbackLayer) -> Callable[[Tensor], None]:
    """Return the function that shows an arriving error to the rule."""
    rule, signals = layer.rule, layer.rule.signals

    @torch.no_grad()
    def receive(error: Tensor) -> None:
        output_error = _output_error(layer, error) if "output_error" in signals else None
        own = error.detach() if "error" in signals else None
        received = {"error": ("error", own), "output_error": ("output_error", output_error)}
        with _explained(layer, "observe_error", received):
            rule.observe_error(view_of(layer), own, output_error)

    return receive


@contextmanager
def _explained(layer: FeedbackLayer, method: str, received: dict[str, tuple[str, Tensor | None]]) -> Iterator[None]:
    """Raise ConfigError if the rule's code takes None for a tensor, since it does not declare the signal.

    Args:
        layer: The layer.
        method: Name of the method that runs in the block.
        received: For each of its arguments, the signal and what was passed.
    """
    try:
        yield
    except (AttributeError, TypeError) as error:
        missing = {name: signal for name, (signal, value) in received.items() if value is None}
        if "NoneType" not in str(error) or not missing:
            raise
        names, signals = ", ".join(missing), " or ".join(map(repr, missing.values()))
        raise ConfigError(
            f"rule {layer.rule.name}, layer {layer.name}: {method}() received {names} = None, since the rule does not "
            f"declare the signal {signals}: add it, or do without ({error})"
        ) from error


def _output_error(layer: FeedbackLayer, error: Tensor) -> Tensor:
    """Return the loss's gradient at the network's output; that of the last layer itself is ``error``."""
    return error.detach() if layer is layer.output_layer else layer.output_error.get(layer.name)


def sender(layer: FeedbackLayer, x: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the rule's ``send_back`` for the input ``x``, which shows it only its signals."""
    rule, signals = layer.rule, layer.rule.signals
    shown = x.detach() if "input" in signals else x.detach().new_zeros(()).expand(x.shape)

    @torch.no_grad()
    def send(error: Tensor) -> Tensor:
        arrived = error.detach() if "error" in signals else error.new_zeros(()).expand(error.shape)
        output_error = _output_error(layer, error) if "output_error" in signals else error.new_zeros(())
        sent = rule.send_back(view_of(layer), arrived, shown, output_error)
        check_sent(layer, sent, shown)
        return sent.to(shown.dtype)

    return send


class _OwnPath(torch.autograd.Function):
    """y unchanged; on the way back, y receives its own error, and x what the rule sends."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, send: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.send = send
        return y.view_as(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        return (ctx.send(error) if ctx.needs_input_grad[0] else None), error, None
