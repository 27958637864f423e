"""A rule attached to the small network, with an optimizer and a training step that is divided into phases."""

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache, lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.config.run_config import OptimConfig
from nowt.core.distributed import SINGLE_WORKER, Group
from nowt.evaluation.certify import phases
from nowt.evaluation.certify.small_network import batch, remove_norms, shuffle_weights, small_net
from nowt.layers.attach import attach_to_candidates
from nowt.layers.coverage import REPLACED, Candidates
from nowt.layers.forward_pass import ForwardPass, observe
from nowt.layers.rule_steps import RuleSteps
from nowt.layers.views import Between
from nowt.rules.base import Rule, overrides
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.mirror_angle import tangent_square
from nowt.rules.moment import Moment
from nowt.rules.schedule import Schedule
from nowt.training.optimizer import build_optimizer, clip_gradients

OPTIM = OptimConfig(lr=0.05, momentum=0.9, weight_decay=0.01, schedule="constant", clip=1.0)

NOISE_SEED = 11  # of mirror mode

STEPS_PER_EPOCH = 2

TURNOVER = 1e-3  # of W per training step, as the rule is told

OnPhase = Callable[[str], None]  # called with the name of each phase when it begins

MakeOptimizer = Callable[[nn.Module, list[FeedbackLayer]], torch.optim.Optimizer]


def ignore_phase(name: str) -> None:
    """Do nothing."""


@dataclass
class Testbed:
    """A rule on the small network, with its optimizer, on one worker of ``group``."""

    rule: Rule
    model: nn.Module
    layers: list[FeedbackLayer]
    optimizer: torch.optim.Optimizer
    clip: float | None
    dtype: torch.dtype
    group: Group = SINGLE_WORKER

    @property
    def steps(self) -> RuleSteps:
        """The rule's part of a step."""
        return RuleSteps(self.rule, self.layers)

    @classmethod
    def build(
        cls,
        rule: Rule,
        *,
        seed: int = 0,
        optim: OptimConfig = OPTIM,
        optimizer: MakeOptimizer | None = None,
        dtype: torch.dtype = torch.float32,
        shuffled: int | None = None,
        between: Between | None = None,
        norms: bool = True,
        group: Group = SINGLE_WORKER,
    ) -> "Testbed":
        """Attach the rule to a fresh network. ``seed`` draws B; everything else is the same at every call, unless the
        entries of each W are ``shuffled`` by a number. Without ``norms`` the network has no batch norm. ``between`` is
        called with each layer when its B is drawn, before the rule prepares it."""
        model = small_net(dtype)
        if not norms:
            remove_norms(model)
        if shuffled is not None:
            shuffle_weights(model, shuffled)
        layers = attach_to_candidates(model, rule, seed, candidates(model), between)
        built = optimizer(model, layers) if optimizer else build_optimizer(optim, model, layers)
        return cls(rule, model, layers, built, optim.clip, dtype, group)

    def begin(self, on_phase: OnPhase = ignore_phase) -> None:
        """Run what the rule does before learning."""
        on_phase(phases.BEFORE_LEARNING)
        self.steps.before_learning(self._moment(0))
        on_phase(phases.BETWEEN)

    def step(self, number: int, on_phase: OnPhase = ignore_phase) -> None:
        """Run training step ``number`` (the first is 1), in the order of ``nowt.training``, on this worker's part of
        the batch."""
        x, y = (each.chunk(self.group.size)[self.group.rank] for each in batch(number, self.dtype))
        self.optimizer.zero_grad(set_to_none=True)
        on_phase(phases.FORWARD)
        loss = F.cross_entropy(self.model(x), y)
        on_phase(phases.BACKWARD)
        loss.backward()  # type: ignore[no-untyped-call]
        self._average_gradients()
        on_phase(phases.CLIPPING)
        clip_gradients(self.model, self.clip)
        on_phase(phases.BEFORE_STEP)
        self.steps.before_step(self.optimizer, self._moment(number))
        on_phase(phases.OPTIMIZER)
        self.optimizer.step()
        on_phase(phases.AFTER_STEP)
        self.steps.after_step(self._moment(number))
        del loss  # its graph holds views of W
        on_phase(phases.BETWEEN)

    def _average_gradients(self) -> None:
        """Replace each gradient by its mean over the workers, as DistributedDataParallel does."""
        if self.group.size > 1:
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            self.group.sum(gradients)
            for gradient in gradients:
                gradient /= self.group.size

    def _moment(self, step: int) -> Moment:
        return Moment(step, NOISE_SEED, self.group, schedule=steady_schedule(self.rule))

    def rule_state(self) -> dict[str, Tensor]:
        """Return the tensors that the rule registered on its layers (B among them), by name."""
        return {
            f"{layer.name}.{name}": value.detach()
            for layer in self.layers
            for name, value in layer.named_parameters(recurse=False)
            if name not in ("weight", "bias")
        }

    def network_state(self) -> dict[str, Tensor]:
        """Return what belongs to the network and its optimizer: W, biases, batch norm and optimizer state."""
        rule_state = self.rule_state()
        found = {name: value for name, value in self.model.state_dict().items() if name not in rule_state}
        for i, state in enumerate(self.optimizer.state.values()):
            found |= {f"optimizer {i} {name}": value for name, value in state.items() if isinstance(value, Tensor)}
        return found

    def optimizer_settings(self) -> dict[str, str]:
        """Return what the optimizer's parameter groups hold beside parameters, by its name, as text."""
        groups = enumerate(self.optimizer.param_groups)
        return {f"{key} of group {i}": repr(value) for i, g in groups for key, value in g.items() if key != "params"}


def candidates(model: nn.Module) -> Candidates:
    """Return the layers of the small network, with the sizes of their inputs."""
    return Candidates(_layers(model), _forward_pass())


@cache
def _forward_pass() -> ForwardPass:
    """Return how the small network uses its layers. It is observed once, since a certificate builds many of them."""
    model = small_net()
    return observe(model, _layers(model), batch(0)[0])


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in model.named_modules() if type(module) in REPLACED}


def clones(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return detached copies of the tensors."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[str]:
    """Return the names of tensors that were added, removed, or differ in any bit."""
    names = dict.fromkeys((*before, *after))
    return [n for n in names if n not in before or n not in after or not torch.equal(before[n], after[n])]


def no_feedback_matrix_reason(rule: Rule) -> str:
    """Return why the rule does not send the error through a B of W's shape; empty if it does."""
    layers = Testbed.build(rule).layers
    if not layers:
        return "the rule covers no layer: torch's own layers use backprop"
    if overrides(rule, "send_back"):
        return "the rule has its own feedback path (send_back)"
    if any(getattr(layer, "feedback", layer.weight[:0]).shape != layer.weight.shape for layer in layers):
        return "the rule keeps no B of W's shape (layer.feedback)"
    return ""


def uncovered_reason(rule: Rule, model: nn.Module) -> str:
    """Return why the rule does not apply to a network that only one check uses, whose last layer is not examined; empty
    if it covers one of the other layers."""
    names = list(_layers(model))[:-1]
    covered = any(rule.covers(name, False) for name in names)
    return "" if covered else f"the rule covers no layer of the network of this check ({', '.join(names[:4])}, …)"


def has_fields(rule: Rule, *names: str) -> bool:
    """Return whether the rule's dataclass has all these fields."""
    return set(names) <= {field.name for field in fields(rule)}


def traced_steps(rule: Rule) -> tuple[int, ...]:
    """Return the step numbers to trace: the first thirty, and the last two of :func:`sample_steps`."""
    return (*range(1, 31), *sample_steps(rule)[2:])


def sample_steps(rule: Rule) -> tuple[int, ...]:
    """Return four step numbers: two ordinary ones, one at which a periodic rule acts, and the one after.

    The third is a multiple of 1 to 10 and of the rule's field ``interval``, if it has one.
    """
    interval = getattr(rule, "interval", 1)
    landmark = math.lcm(2520, interval) if isinstance(interval, int) and interval > 0 else 2520
    return 1, 2, landmark, landmark + 1


def steady_schedule(rule: Rule) -> Schedule:
    """Return the schedule of a run with a constant turnover of W, slow enough for the rule's field ``target_angle``, if
    it has one, that reaches beyond the last of ``sample_steps``."""
    target = getattr(rule, "target_angle", None)
    # at which the mirror acts every few steps, on some hundred positions (see ``nowt.rules.mirror_angle``)
    turnover = 4 * tangent_square(target) ** 2 if isinstance(target, float) else TURNOVER
    return _steady_schedule(min(TURNOVER, turnover), sample_steps(rule)[-1])


@lru_cache(maxsize=4)
def _steady_schedule(turnover: float, steps: int) -> Schedule:
    return Schedule(STEPS_PER_EPOCH, array("d", (turnover * step for step in range(steps + 1))))
