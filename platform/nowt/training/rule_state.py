"""Finds state of a rule or model that a checkpoint does not contain, or that an alignment probe changes.

A checkpoint contains what ``register_state`` registered. A rule cannot set an attribute on a layer, but it can set one
on itself, on a registered tensor, or a variable of its module: that is lost when a run resumes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from nowt.core.errors import ConfigError
from nowt.core.source_hash import is_own_code
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.training.fingerprint import Bits, attributes, fingerprint, module_attributes
from nowt.training.outside_variables import outside_variables

State = dict[str, Any]  # fingerprints by name

PLAIN = (bool, int, str, type(None))

ADVICE = "register it with layer.register_state in prepare(), and update it in after_step()"

# attributes of a layer that nowt sets, and W where it is computed from other parameters (weight norm, pruning)
IGNORED = {"use_backprop", "through_feedback", "observed", "cache", "output_layer", "output_error", "rule", "tied"}
IGNORED |= {"map_size", "weight", "bias", "kept_terms"}


class RuleState:
    """The state of a rule outside of what a checkpoint contains, as it was when the run began in this process."""

    def __init__(self, rule: Rule, layers: Sequence[FeedbackLayer], model: nn.Module) -> None:
        self.rule = rule
        self.layers = [one for layer in layers for one in (layer, *layer.tied)]
        self.modules = {n: m for n, m in model.named_modules() if is_own_code(type(m).__module__)}
        self.names = {id(layer): set(vars(layer)) for layer in self.layers}
        self.known = self._plain()
        self.integers: State = {}  # of the model, after the first step
        self.stepped = False  # in this process

    def check(self) -> None:
        """Raise ConfigError if plain state has changed. Call it between a training step and what follows it."""
        now = self._plain()
        for name, value in self.known.items():
            if now.get(name) != value:
                raise ConfigError(f"{name} changes during training, and no checkpoint contains it: {ADVICE}")
        if extra := next((name for name in now if name not in self.known), None):
            raise ConfigError(f"{extra} was set during training, and no checkpoint contains it: {ADVICE}")
        self._check_model()

    def check_first_step(self) -> None:
        """Check after the first step, so that most faults show at once and not after an epoch."""
        if not self.stepped:
            self.stepped, self.integers = True, _integers(self.modules)
            self.check()

    @contextmanager
    def unchanged(self, what: str) -> Iterator[None]:
        """Context manager of a measurement, which follows ``check``. Raises ConfigError if ``what`` is measured changed
        state of the rule."""
        before = self.known | self._registered()
        yield
        after = self._plain() | self._registered()
        for name in after:
            if before.get(name) != after[name]:
                raise ConfigError(
                    f"{what} changed {name}, so that results would depend on what is measured: feedback() and "
                    "send_back() of a rule must not change state; do so in after_step()"
                )

    def _check_model(self) -> None:
        """Raise ConfigError if an integer among the attributes of a custom module is not what it was after the first
        step, as a counter is not."""
        now = _integers(self.modules)
        for name, value in self.integers.items():
            if now.get(name) != value:
                raise ConfigError(
                    f"{name} changes during training, and no checkpoint contains it: make it a buffer of the module "
                    "(register_buffer)"
                )

    def _plain(self) -> State:
        """Return fingerprints of the rule's attributes, of those that the layers had at the start, and of the variables
        outside of them that their code uses."""
        rule, found = self.rule, dict[str, Any]()
        held = {f"attribute {name!r} of rule {rule.name}": value for name, value in attributes(rule).items()}
        for layer in self.layers:
            kept, where = self.names[id(layer)] - IGNORED, f"of layer {layer.name} (rule {rule.name})"
            held |= {f"attribute {n!r} {where}": v for n, v in module_attributes(layer).items() if n in kept}
            for name, tensor in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]:
                held |= {f"attribute {n!r} of {name!r} {where}": v for n, v in _own_attributes(tensor).items()}
            found[f"the set of registered tensors {where}"] = (tuple(layer._parameters), tuple(layer._buffers))
            found[f"the set of modules {where}"] = tuple(layer._modules)
        held |= {f"{where} (rule {rule.name})": v for where, v in outside_variables(rule, held).items()}
        return found | {where: fingerprint(value) for where, value in held.items()}

    def _registered(self) -> State:
        """Return what the rule registered on the layers."""
        return {
            f"{name!r} of layer {layer.name} (rule {self.rule.name})": (id(value), Bits(value))
            for layer in self.layers
            for name, value in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
        }


def _own_attributes(tensor: Any) -> dict[str, Any]:
    """Return the attributes that a rule has given a tensor. Those of torch begin with an underscore and are plain."""
    return {name: value for name, value in vars(tensor).items() if not (name.startswith("_") and _is_plain(value))}


def _is_plain(value: Any) -> bool:
    """Return whether a value holds no tensor: torch.compile notes names and dimensions on tensors."""
    return isinstance(value, PLAIN) or (isinstance(value, (set, frozenset)) and all(map(_is_plain, value)))


def _integers(modules: dict[str, nn.Module]) -> State:
    """Return the integers among the attributes of custom modules, such as counters of forward passes."""
    return {
        f"attribute {name!r} of {f'module {where!r}' if where else 'the network'}": fingerprint(value)
        for where, module in modules.items()
        for name, value in module_attributes(module).items()
        if isinstance(value, int)
    }
