"""Repeats the learning of one recorded training step, each time with the activity of one unit nudged.

All that learning sees of a layer is recorded: its input, its output, the error that arrives, the output error, mirror
noise and responses, and the vectors that the rule sends back through B. The learning is then repeated on the recording,
without a forward or backward pass. So a nudged unit reaches a synapse only if the rule or the optimizer carries it
there.
"""

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nowt.core.seeding import generator
from nowt.evaluation.certify.small_network import batch
from nowt.evaluation.certify.testbed import NOISE_SEED, OPTIM, MakeOptimizer, Testbed, sample_steps
from nowt.layers.mirror_mode import response
from nowt.layers.propagation import receiver, sender, show_activity
from nowt.layers.rule_steps import clear_caches
from nowt.layers.views import view_of
from nowt.rules.base import Rule, overrides
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.layer_view import LayerView
from nowt.rules.mirror_noise import MirrorNoise
from nowt.rules.moment import Moment

SAMPLES = 5  # of the batch of the recorded step

DECAY = 0.1  # λ of mirror steps that nowt would choose to meet a target angle

FORWARD, BACKWARD = "forward", "backward"


@dataclass(frozen=True)
class Nudge:
    """A small change of what a layer's learning sees.

    Attributes:
        layer: Name of the layer.
        kind: ``"input"``: what the layer sees of an input unit: x, mirror noise, and vectors sent back through B.
            ``"output"``: of an output unit: y, δ, and mirror responses. ``"output error"``: of a unit of the output
            error. ``"gradient"`` and ``"feedback"``: of a synapse, the gradient and optimizer state of W, or B and
            other registered tensors of W's shape.
        index: The unit; of a synapse, its output and input unit.
    """

    layer: str
    kind: str
    index: tuple[int, ...]


@dataclass
class Seen:
    """What learning sees of a layer in the recorded step."""

    x: Tensor
    y: Tensor
    passes_on: bool  # whether the input needs an error
    error: Tensor


class ReplayedStep:
    """A rule on the small network, in float64, after one training step and with the recording of another.

    Args:
        rule: The rule. Mirror steps are made smaller, and one is done in the step.
        optimizer: Makes the optimizer from the model and its layers. Default None: SGD with momentum and weight decay.
    """

    def __init__(self, rule: Rule, optimizer: MakeOptimizer | None = None) -> None:
        optim = replace(OPTIM, clip=None)
        self.testbed = Testbed.build(with_short_mirror(rule), optim=optim, optimizer=optimizer, dtype=torch.float64)
        self.layers = {layer.name: layer for layer in self.testbed.layers}
        self.rule = self.testbed.rule
        self._number = sample_steps(rule)[2]  # at which a periodic rule acts
        self._directions: dict[object, Tensor] = {}
        self._recorded: dict[tuple[str, str, int], Tensor] = {}
        self._calls: Counter[tuple[str, str]] = Counter()
        self._nudge, self._size = Nudge("", "", ()), 0.0
        self.testbed.begin()
        self.testbed.step(1)
        self._record()

    def run(self, nudge: Nudge | None = None, size: float = 0.0) -> dict[str, list[Tensor]]:
        """Do the step's learning from the recorded start. ``size`` is relative to the root mean square of the signal.

        Returns:
            For each covered layer W, its bias and what the rule registered, in float64; under ``""``, all other
            parameters.
        """
        self._restore()
        torch.default_generator.manual_seed(0)  # torch.manual_seed takes longer than the step
        self._nudge, self._size = nudge or Nudge("", "", ()), size
        self._calls.clear()
        with torch.no_grad():
            self._nudge_feedback()
            for event, layer in self._events:
                self._show(event, layer)
            self._set_gradients()
            steps, moment = self.testbed.steps, Moment(self._number, NOISE_SEED, respond=self._respond)
            steps.before_step(self.testbed.optimizer, moment)
            self.testbed.optimizer.step()
            steps.after_step(moment)
            found = {
                name: [t.to(torch.float64, copy=True) for t in learned(layer)] for name, layer in self.layers.items()
            }
            found[""] = [p.clone() for p in self._others]
        return found

    def sent(self, layer: str, vector: Callable[[], Tensor]) -> Tensor:
        """Return the recorded vector in place of the one that the rule sends back now."""
        return self._nudged(layer, "input", self._replayed(layer, "sent", vector), "sent")

    def _record(self) -> None:
        """Do the forward and backward pass and keep what learning sees."""
        self._events: list[tuple[str, FeedbackLayer]] = []
        self._seen: dict[str, Seen] = {}
        hooks = [layer.register_forward_hook(self._keep) for layer in self.testbed.layers]
        self.testbed.optimizer.zero_grad(set_to_none=True)
        x, y = batch(2, torch.float64)
        nn.functional.cross_entropy(self.testbed.model(x[:SAMPLES]), y[:SAMPLES]).backward()  # type: ignore[no-untyped-call]
        for hook in hooks:
            hook.remove()
        clear_caches(self.testbed.layers)
        named = self.testbed.model.named_parameters()
        self._trained = [p for _, p in named if p.grad is not None]
        self._gradients = [p.grad.detach().clone() for p in self._trained if p.grad is not None]
        self._buffers = [gradient.clone() for gradient in self._gradients]
        self._watch = self.testbed.layers[0].__dict__.get("output_error")
        self._output_error = None if self._watch is None else self._watch.error.clone()
        self._snapshot()
        for layer in self.testbed.layers:
            layer.make_view = partial(_RecordedView, self)
        self.run()

    def _keep(self, layer: FeedbackLayer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x, y = inputs[0].detach().clone(), output.detach().clone()
        self._seen[layer.name] = Seen(x, y, inputs[0].requires_grad, torch.zeros_like(y))
        self._events.append((FORWARD, layer))

        def receive(error: Tensor) -> None:
            self._seen[layer.name].error = error.detach().clone()
            self._events.append((BACKWARD, layer))

        if output.requires_grad:  # not if a rule has frozen W
            output.register_hook(receive)  # type: ignore[no-untyped-call]

    def _snapshot(self) -> None:
        own = {id(p) for layer in self.testbed.layers for p in layer.parameters(recurse=False)}
        parameters = list(self.testbed.model.parameters())
        self._others = [p for p in parameters if id(p) not in own]
        states = list(self.testbed.optimizer.state.values())
        self._live = [*parameters, *(v for state in states for v in state.values() if isinstance(v, Tensor))]
        self._start = [tensor.detach().clone() for tensor in self._live]
        self._numbers = [(s, {k: v for k, v in s.items() if not isinstance(v, Tensor)}) for s in states]

    def _restore(self) -> None:
        with torch.no_grad():
            torch._foreach_copy_(self._live, self._start)
        for state, numbers in self._numbers:
            state.update(numbers)

    def _show(self, event: str, layer: FeedbackLayer) -> None:
        """Call the rule as a forward or backward pass does."""
        x, y, error = self._nudged_activity(layer)
        if event == FORWARD:
            if overrides(self.rule, "feedback"):
                self.rule.feedback(view_of(layer))
            show_activity(layer, x, y)
            return
        if self._watch is not None and self._output_error is not None:
            self._watch.error = self._nudged(layer.name, "output error", self._output_error, "output error")
        if overrides(self.rule, "observe_error"):
            receiver(layer)(error)
        if overrides(self.rule, "send_back") and self._seen[layer.name].passes_on:
            sender(layer, x)(error)

    def _nudged_activity(self, layer: FeedbackLayer) -> tuple[Tensor, Tensor, Tensor]:
        name, seen = layer.name, self._seen[layer.name]
        y = self._nudged(name, "output", seen.y, "y")
        return self._nudged(name, "input", seen.x, "x"), y, self._nudged(name, "output", seen.error, "error")

    def _set_gradients(self) -> None:
        torch._foreach_copy_(self._buffers, self._gradients)  # an optimizer may change its gradients
        for parameter, gradient in zip(self._trained, self._buffers, strict=True):
            parameter.grad = gradient
        layer = self.layers.get(self._nudge.layer)
        if layer is None:
            return
        x, _, error = self._nudged_activity(layer)
        gradient = layer.geometry.outer_product(x, error)
        layer.weight.grad = self._nudged(layer.name, "gradient", gradient, "gradient")
        if layer.bias is not None:
            layer.bias.grad = error.transpose(1, -1).flatten(0, -2).sum(0)
        if self._nudge.kind == "gradient":
            state = self.testbed.optimizer.state[layer.weight]
            for tensor in (v for v in state.values() if isinstance(v, Tensor) and v.shape == layer.weight.shape):
                tensor[self._nudge.index] *= 1 + self._size

    def _nudge_feedback(self) -> None:
        layer = self.layers.get(self._nudge.layer)
        if layer is None or self._nudge.kind != "feedback":
            return
        for name in layer.state_names:
            value = layer.get_parameter(name)
            if value.shape == layer.weight.shape and value.is_floating_point():
                value.copy_(self._nudged(layer.name, "feedback", value, name))

    def _respond(self, layer: FeedbackLayer, noise: MirrorNoise, x: Tensor) -> Tensor:
        """Return the recorded response, and nudge the noise."""
        y = self._replayed(layer.name, "response", lambda: response(layer, noise, x))
        x.copy_(self._nudged(layer.name, "input", x, "noise"))
        return self._nudged(layer.name, "output", y, "response")

    def _replayed(self, layer: str, what: str, now: Callable[[], Tensor]) -> Tensor:
        """Return what the first run had at this point; in the first run, ``now()``."""
        self._calls[layer, what] += 1
        key = (layer, what, self._calls[layer, what])
        if key not in self._recorded:
            self._recorded[key] = now().clone()
        return self._recorded[key].clone()

    def _nudged(self, layer: str, kind: str, value: Tensor, purpose: str) -> Tensor:
        """Return ``value``, in a random direction changed at the nudged unit or synapse."""
        if (self._nudge.layer, self._nudge.kind) != (layer, kind):
            return value
        value, index = value.clone(), self._nudge.index
        on_map = value.dim() == 4 and len(index) == 1
        part = value[:, index[0]] if on_map else value[index] if len(index) == 2 else value[..., index[0]]
        key = (layer, kind, index, purpose, tuple(part.shape))
        if key not in self._directions:
            stream = generator(0, "grade", layer, kind, *index, purpose)
            self._directions[key] = torch.randn(part.shape, generator=stream, dtype=value.dtype)
        part += self._directions[key] * (self._size * value.square().mean().sqrt())
        return value


class _RecordedView(LayerView):
    """A view whose rule receives the recorded vectors from ``send_back``."""

    __slots__ = ("_step",)

    def __init__(self, step: ReplayedStep, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        object.__setattr__(self, "_step", step)

    def send_back(self, error: Tensor, x: Tensor) -> Tensor:
        """Return the vector that was sent back in the recording."""
        sent: Tensor = self._step.sent(self.name, partial(super().send_back, error, x))
        return sent


def learned(layer: FeedbackLayer) -> list[Tensor]:
    """Return what a step changes in a layer: W, its bias, and what the rule registered."""
    own = [layer.get_parameter(name).detach() for name in layer.state_names]
    return [layer.weight.detach(), *([] if layer.bias is None else [layer.bias.detach()]), *own]


def with_short_mirror(rule: Rule) -> Rule:
    """Return the rule with a small mirror step after each training step, if it has mirror noise."""
    noise = rule.mirror_noise()
    if noise is None:
        return rule
    samples, extent = min(noise.samples, 8), min(noise.extent, 2)
    small = replace(noise, samples=samples, extent=extent, interval=1, warmup=1, burst=0, target_angle=None)
    short = copy.copy(rule)
    object.__setattr__(short, "mirror_noise", lambda: small)
    if noise.target_angle is not None:
        object.__setattr__(
            short, "observe_mirror", lambda layer, s: rule.observe_mirror(layer, replace(s, decay=DECAY))
        )
    return short
