"""The null-space test: whoever reads W, by whatever means, shows it when W changes where no activity shows it.

Two copies of a network train side by side. Before each step, and before the rule prepares its layers, every W of the
second copy gets a matrix N that maps the batch's own inputs of its layer to 0, drawn anew each time. All activity is
then the same to rounding. So must be B, the rule's other state, and every gradient, unless the rule read W. Mirror mode
answers the second copy with the responses of the first. The networks are wide and the batches small, so that every
layer sees fewer positions than it has inputs.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.config.run_config import OptimConfig
from nowt.core.seeding import generator
from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.interruption import in_new_process
from nowt.evaluation.certify.part_changes import changes_by_part
from nowt.evaluation.certify.small_network import CLASSES, Block, SmallNet
from nowt.evaluation.certify.testbed import NOISE_SEED, sample_steps, steady_schedule
from nowt.layers.attach import attach_to_candidates
from nowt.layers.coverage import REPLACED, Candidates
from nowt.layers.forward_pass import observe
from nowt.layers.mirror_mode import response
from nowt.layers.model_state import preserved_buffers
from nowt.layers.null_space import Inputs, move_in_null_space, recorded_inputs
from nowt.layers.rule_steps import RuleSteps
from nowt.models.initialization import initialize_as_torchvision, initialize_layers
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.mirror_noise import MirrorNoise
from nowt.rules.moment import Moment
from nowt.training.optimizer import build_optimizer

BOUND = 1e-9  # relative change that rounding explains, in float64: of the smallest entries, up to 5e-10 is measured

OPTIM = OptimConfig(lr=0.05, momentum=0.9, weight_decay=0.01, schedule="constant", clip=None)

SAMPLES = 3  # per batch

GRADIENT = "gradient of "

MOMENTUM = "momentum_buffer"  # all that the optimizer keeps


class WideNet(SmallNet):
    """The small network with more channels, so that a batch of (3, 2, 2, 2) has fewer positions than any layer inputs.

    Its layers have the names of the small network's, so a rule covers the same ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 24, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.block1 = Block(24, 20, 24)
        self.block2 = Block(24, 22, 28)
        self.fc = nn.Linear(28, CLASSES)


def wide_batch(number: int) -> tuple[Tensor, Tensor]:
    """Return noise images (3, 2, 2, 2) in float64 and labels (3,), a pure function of ``number``."""
    stream = generator(0, "certificate", "null space", number)
    return torch.randn(SAMPLES, 2, 2, 2, generator=stream, dtype=torch.float64), torch.arange(SAMPLES)


def nothing() -> None:
    """Do nothing."""


@dataclass
class Twin:
    """One copy of the network with its rule, its optimizer, and what answers mirror noise."""

    rule: Rule
    respond: Callable[..., Tensor] = response

    def attach(self, between: Callable[[FeedbackLayer], None] | None = None) -> None:
        """Build the network and attach the rule."""
        torch.manual_seed(0)  # both copies draw the same from the global random state
        self.model = WideNet().double()
        initialize_layers(self.model, initialize_as_torchvision, seed=0)
        found = {n: m for n, m in self.model.named_modules() if type(m) in REPLACED}
        candidates = Candidates(found, observe(self.model, found, wide_batch(0)[0]))
        self.network = set(self.model.state_dict())
        self.layers = attach_to_candidates(self.model, self.rule, 0, candidates, between)
        self.optimizer = build_optimizer(OPTIM, self.model, self.layers)
        self.steps = RuleSteps(self.rule, self.layers)

    def moment(self, step: int) -> Moment:
        """Return a moment of training."""
        return Moment(step, NOISE_SEED, schedule=steady_schedule(self.rule), respond=self.respond)

    def train_step(self, number: int, updated: Callable[[], None] = nothing) -> dict[str, Tensor]:
        """Do one training step; return all gradients before it, and the rule's state after it. ``updated`` is called
        when the optimizer has changed W."""
        torch.manual_seed(number)
        x, y = wide_batch(number)
        self.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(self.model(x), y).backward()  # type: ignore[no-untyped-call]
        self.steps.before_step(self.optimizer, self.moment(number - 1))
        named = self.model.named_parameters()
        found = {GRADIENT + n: p.grad.clone() for n, p in named if p.requires_grad and p.grad is not None}
        self.optimizer.step()
        updated()
        self.steps.after_step(self.moment(number))
        return found | self.rule_state()

    def rule_state(self) -> dict[str, Tensor]:
        """Return what the rule registered, B included."""
        return {
            f"{n} of {layer.name}": layer.get_parameter(n).clone() for layer in self.layers for n in layer.state_names
        }

    def copy_network(self, other: "Twin") -> None:
        """Take over the network of ``other`` and its momentum, so that W is the same again.

        Anything else is left alone: what a rule has hidden in a buffer or in the optimizer must stay different.
        """
        theirs, momenta = other.model.state_dict(), dict(other.model.named_parameters())
        for name, value in self.model.state_dict(keep_vars=True).items():
            if name in self.network:
                value.data.copy_(theirs[name])
                if MOMENTUM in (state := self.optimizer.state.get(value, {})):
                    state[MOMENTUM].copy_(other.optimizer.state[momenta[name]][MOMENTUM])


def check_null_space(rule: Rule) -> CheckResults:
    """Yield one check; of a rule that declares that it reads W, that it does. For a rule that declares signs of W,
    yield another one: that it reads no more than signs. The global random state changes.

    Where the rule's numbers are not finite, nothing can be shown, and the check ``finite`` fails in its place.
    """
    if not _covers_any(rule):
        yield SkippedCheck("null space", "the rule covers no layer: torch's own layers use backprop")
        return
    try:
        largest, where = _largest_change(rule)
    except _NotFinite as error:
        yield Check("finite", "In training, all numbers stay finite", "finite", str(error), False)
        return
    measured = f"largest relative change {largest:.0e}" + (f" ({where})" if largest > BOUND else "")
    if rule.transports:
        promise = "W changes where no activity shows it: the rule notices, as it declares"
        yield Check("null space", promise, "above 1e-6", measured, largest > 1e-6)
    else:
        promise = "W changes where no activity shows it: B, the rule's state and all gradients stay the same"
        yield Check("null space", promise, f"{BOUND:.0e}", measured, largest <= BOUND)
    if rule.transports == "sign":
        yield _check_signs(rule)


def _check_signs(rule: Rule) -> Check:
    largest, where = _largest_change(rule, keep_signs=True)
    measured = f"largest relative change {largest:.0e}" + (f" ({where})" if largest > BOUND else "")
    promise = "W changes where neither activity nor its signs show it: everything stays the same"
    return Check("signs only", promise, f"{BOUND:.0e}", measured, largest <= BOUND)


class _NotFinite(Exception):
    """A layer's input is not finite."""


def _covers_any(rule: Rule) -> bool:
    twin = Twin(rule)
    twin.attach()
    return bool(twin.layers)


def _largest_change(rule: Rule, keep_signs: bool = False) -> tuple[float, str]:
    """Return the largest relative change over preparation, work before learning and steps, and its tensor.

    With ``keep_signs``, W changes once more when the optimizer has updated it, since its signs have then changed.
    """
    answers: deque[Tensor] = deque()
    first = Twin(in_new_process(rule), partial(_recording, answers))
    second = Twin(in_new_process(rule), partial(_replaying, answers))
    first.attach()
    inputs = _inputs(first, sample_steps(rule)[0])

    def move(layer: FeedbackLayer, label: object) -> None:
        stream = generator(1, "null space", layer.name, label)
        if math.isnan(move_in_null_space(layer.weight, inputs[layer.name], stream, keep_signs)):
            raise _NotFinite(f"the input or W of layer {layer.name} is not, at step {label}")

    def copy_and_move(label: object) -> None:
        second.copy_network(first)
        for layer in second.layers:
            move(layer, label)

    second.attach(lambda layer: move(layer, "prepare"))
    changes = dict(_changes("before learning", first.rule_state(), second.rule_state()))
    for twin in (first, second):
        torch.manual_seed(0)
        twin.steps.before_learning(twin.moment(0))
    for number in sample_steps(rule):
        inputs = _inputs(first, number)
        copy_and_move(number)
        updated = partial(copy_and_move, f"after {number}") if keep_signs else nothing
        changes |= _changes(f"step {number}", first.train_step(number), second.train_step(number, updated))
    worst = max(changes, key=lambda name: changes[name], default="")
    return changes.get(worst, 0.0), worst


def _changes(when: str, one: dict[str, Tensor], other: dict[str, Tensor]) -> Iterator[tuple[str, float]]:
    # what is smaller than this share of a typical gradient may be rounding alone; state of the rule cannot raise it
    typical = median([_norm(value) for name, value in one.items() if name.startswith(GRADIENT)] or [0.0])
    floor = 1e-6 * typical + 1e-30
    for name, value in one.items():
        parts = changes_by_part(name, value.double().abs(), value, other.get(name), floor)
        yield from ((f"{part}, {when}", change) for part, change in parts.items())


def _norm(value: Tensor) -> float:
    return float(value.double().norm())  # registered counters are integers


def _inputs(twin: Twin, number: int) -> Inputs:
    """Return each covered layer's inputs in the forward pass of a step."""
    with preserved_buffers(twin.model), recorded_inputs(twin.layers) as found, torch.no_grad():
        twin.model(wide_batch(number)[0])
    return found


def _recording(answers: deque[Tensor], layer: FeedbackLayer, noise: MirrorNoise, x: Tensor) -> Tensor:
    answers.append(response(layer, noise, x))
    return answers[-1].clone()


def _replaying(answers: deque[Tensor], layer: FeedbackLayer, noise: MirrorNoise, x: Tensor) -> Tensor:
    return answers.popleft()
