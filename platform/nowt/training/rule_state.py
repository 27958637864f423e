"""Finds state of a rule that a checkpoint does not contain, or that an alignment probe changes.

A checkpoint contains what ``register_state`` registered. An attribute that a rule sets on itself or on a layer is lost
when a run resumes, and an alignment probe, which calls ``propagate``, changes it. A rule may set an attribute in
``propagate`` and use it in ``after_step`` of the same step. Therefore every new attribute is replaced by a
``LostState`` when an epoch ends and when a checkpoint is written: if the rule reads it before setting it again, it
depends on state that a resumed run would not have, and an error says so.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from nowt.core.errors import ConfigError
from nowt.rules.base import FeedbackLayer, Rule
from nowt.training.fingerprint import Bits, attributes, fingerprint
from nowt.training.outside_variables import outside_variables

State = dict[str, Any]  # fingerprints by name

# attributes that nowt and torch set; registered tensors are compared by name
IGNORED = {
    *vars(nn.Module()),
    "_compiled_call_impl",
    "use_backprop",
    "map_size",
    "output_layer",
    "rule",
    "through_feedback",
    "training",
    "tied",
}

ADVICE = "register it with layer.register_state in prepare(), and update it in after_step()"


class LostState:
    """Takes the place of an attribute that a checkpoint does not contain. Every use of it raises ConfigError."""

    def __init__(self, owner: str, name: str) -> None:
        self.__dict__["_lost"] = (owner, name)

    def _raise(self, *args: object, **kwargs: object) -> Any:
        owner, name = self.__dict__["_lost"]
        raise ConfigError(
            f"{owner} reads its attribute {name!r} from an earlier step, which no checkpoint contains: a resumed run "
            f"would differ. {ADVICE[0].upper()}{ADVICE[1:]}"
        )

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Raise ConfigError."""
        found = next((one for one in [*args, *(kwargs or {}).values()] if isinstance(one, cls)), None)
        return found._raise() if found is not None else NotImplemented

    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # as copying and inspecting do
            raise AttributeError(name)
        return self._raise()


OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor")

CONVERSIONS = ("bool", "len", "iter", "next", "contains", "call", "float", "int", "index", "neg", "abs")

ACCESS = ("getitem", "setitem", "delitem", "eq", "lt", "le", "gt", "ge")

for _name in (*CONVERSIONS, *ACCESS, *(prefix + name for name in OPERATORS for prefix in ("", "r", "i"))):
    setattr(LostState, f"__{_name}__", LostState._raise)  # Python looks these up on the class


class RuleState:
    """The state of a rule outside of what a checkpoint contains, as it was when the run began in this process."""

    def __init__(self, rule: Rule, layers: Sequence[FeedbackLayer]) -> None:
        self.rule = rule
        self.layers = [one for layer in layers for one in (layer, *layer.tied)]  # propagate receives tied layers, too
        self.names = {id(layer): set(vars(layer)) for layer in self.layers}
        self.known = self._plain()
        self.stepped = False  # in this process
        for layer in self.layers:
            _check_buffers(rule, layer)

    def check(self) -> None:
        """Raise ConfigError if plain state has changed. Replace attributes that the layers have got meanwhile."""
        now = self._plain()
        for name, value in self.known.items():
            if now.get(name) != value:
                raise ConfigError(f"{name} changes during training, and no checkpoint contains it: {ADVICE}")
        if extra := next((name for name in now if name not in self.known), None):
            raise ConfigError(f"{extra} was set during training, and no checkpoint contains it: {ADVICE}")
        self.forget()

    def check_first_step(self) -> None:
        """Check after the first step, so that most faults show at once and not after an epoch."""
        if not self.stepped:
            self.stepped = True
            self.check()

    def forget(self) -> None:
        """Replace attributes that the layers have got since the start by ``LostState``."""
        for layer in self.layers:
            for name in vars(layer).keys() - self.names[id(layer)] - IGNORED:
                layer.__dict__[name] = LostState(f"rule {self.rule.name}, in layer {layer.name},", name)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Context manager of an alignment probe. Raises ConfigError if the probe changed state of the rule."""
        before = self._plain() | self._registered()
        yield
        after = self._plain() | self._registered()
        for name in after:
            if before.get(name) != after[name]:
                raise ConfigError(
                    f"an alignment probe changed {name}, so that results would depend on probe.interval: propagate() "
                    "and feedback() of a rule must not change state; do so in after_step()"
                )
        self.forget()

    def _plain(self) -> State:
        """Return fingerprints of the rule's attributes, and of those that the layers had at the start."""
        found = _rule_state(self.rule)
        for layer in self.layers:
            kept = self.names[id(layer)] - IGNORED
            where = f"of layer {layer.name} (rule {self.rule.name})"
            found |= {f"attribute {n!r} {where}": fingerprint(v) for n, v in vars(layer).items() if n in kept}
            found[f"the set of registered tensors {where}"] = (tuple(layer._parameters), tuple(layer._buffers))
        return found

    def _registered(self) -> State:
        """Return fingerprints of what the rule registered on the layers."""
        return {
            f"{name!r} of layer {layer.name} (rule {self.rule.name})": (id(value), Bits(value))
            for layer in self.layers
            for name, value in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
        }


def _rule_state(rule: Rule) -> State:
    """Return fingerprints of a rule's attributes and of the variables outside of it that its code uses."""
    found = {f"attribute {name!r} of rule {rule.name}": value for name, value in attributes(rule).items()}
    found |= {f"{where} (rule {rule.name})": value for where, value in outside_variables(rule).items()}
    return {where: fingerprint(value) for where, value in found.items()}


def _check_buffers(rule: Rule, layer: FeedbackLayer) -> None:
    """Raise ConfigError if the rule registered a buffer that checkpoints leave out."""
    if layer._non_persistent_buffers_set:
        name = sorted(layer._non_persistent_buffers_set)[0]
        raise ConfigError(
            f"rule {rule.name} registered {name!r} on layer {layer.name} with persistent=False, so no checkpoint "
            f"contains it: {ADVICE}"
        )
