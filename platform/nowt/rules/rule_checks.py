"""Whether a rule's class fits the interface: its signals, and the methods that receive them."""

import inspect
from dataclasses import fields
from difflib import get_close_matches

from nowt.core.errors import ConfigError
from nowt.rules.base import Rule, overrides
from nowt.rules.signals import METHODS, SIGNALS

# names of an earlier interface, which nothing reads any more
EARLIER = ("propagate", "before_learning", "before_step", "check_layer")

# methods that users of torch may expect to be called
UNCALLED = ("forward", "backward", "step", "update_weights", "setup_context")

UPDATES = ("", "with_weight")

MOST_SCALARS = 3  # that a certificate can tell from numbers that each unit has of its own

NEAR = 0.8  # likeness of two names of which one is taken for a misspelling of the other

GUIDE = "see docs/adding-a-rule.md"


def check_rule(rule: Rule) -> None:
    """Raise ConfigError if the rule has a method, an attribute or a signal that nowt would not use as it is meant."""
    check_rule_class(type(rule))
    _check_signals(rule)


def check_rule_class(kind: type[Rule]) -> None:
    """Raise ConfigError if the class has a method or an attribute that nowt would not use as it is meant."""
    _check_earlier(kind)
    _check_fields(kind)
    _check_names(kind)
    _check_arguments(kind)
    _check_values(kind)


def _check_values(kind: type[Rule]) -> None:
    if type(kind.scalars) is not int or not 0 <= kind.scalars <= MOST_SCALARS:
        allowed = f"a whole number from 0 to {MOST_SCALARS}"
        raise ConfigError(f"rule {kind.name} has scalars = {kind.scalars!r}: it must be {allowed}; {GUIDE}")
    if kind.update not in UPDATES:
        allowed = " or ".join(map(repr, UPDATES))
        raise ConfigError(f"rule {kind.name} has update = {kind.update!r}: it must be {allowed}; {GUIDE}")


def _check_names(kind: type[Rule]) -> None:
    """Raise ConfigError if a name of custom code is nearly one of ``Rule``: nowt would call or read nothing of it."""
    interface = [name for name in dir(Rule) if not name.startswith("_")]
    settings = {field.name for field in fields(kind)}
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] in ("nowt", "builtins"):
            continue
        for name in {*vars(base), *vars(base).get("__annotations__", {})} - settings - {*interface}:
            meant = [] if name.startswith("_") else get_close_matches(name, interface, 1, NEAR)
            if meant:
                raise ConfigError(
                    f"rule {kind.name} has {name}, which nowt does not use. Did you mean {meant[0]}? Otherwise rename "
                    f"it, such as to _{name}; {GUIDE}"
                )


def _check_earlier(kind: type[Rule]) -> None:
    for name in EARLIER:
        if hasattr(kind, name):
            raise ConfigError(
                f"rule {kind.name} has {name}() of an earlier interface, which nowt does not call: {GUIDE}"
            )
    for name in UNCALLED:
        if hasattr(kind, name):
            raise ConfigError(
                f"rule {kind.name} has {name}, which nowt does not call: W's forward pass and step are nowt's"
            )
    for name in ("learns_from", "transports"):
        if getattr(kind, name) is not getattr(Rule, name):
            raise ConfigError(f"rule {kind.name} sets {name}, which follows from its signals: remove it; {GUIDE}")


def _check_fields(kind: type[Rule]) -> None:
    for field in fields(kind):
        if inspect.isfunction(getattr(Rule, field.name, None)):
            raise ConfigError(
                f"rule {kind.name} has a field {field.name}, which is a method of nowt.Rule: give the field another "
                f"name, such as own_{field.name}, and define {field.name}(self), which may return it; {GUIDE}"
            )
        if hasattr(Rule, field.name):
            raise ConfigError(
                f"rule {kind.name} has a field {field.name}, which nowt.Rule uses for something else: rename the field"
            )


def _check_arguments(kind: type[Rule]) -> None:
    """Raise ConfigError if a method of the class does not take the arguments that nowt passes."""
    for name, expected in vars(Rule).items():
        method = getattr(kind, name)
        if not inspect.isfunction(expected) or name.startswith("_") or method is expected:
            continue
        wanted = list(inspect.signature(expected).parameters)
        if not callable(method):
            raise ConfigError(
                f"rule {kind.name} sets {name} = {method!r}: {name} is a method, {name}({', '.join(wanted)}); {GUIDE}"
            )
        given = inspect.signature(method)
        try:
            given.bind(*wanted)
        except TypeError:
            found = ", ".join(given.parameters)
            raise ConfigError(
                f"rule {kind.name} defines {name}({found}): nowt calls it as {name}({', '.join(wanted)}); {GUIDE}"
            ) from None


def shortened_rule(rule: Rule, pace: float) -> Rule:
    """Return ``rule.shortened(pace)``. Raises ConfigError if it differs in more than whole numbers: nowt trains and
    certifies this rule in place of the other."""
    short = rule.shortened(pace)
    same = type(short) is type(rule)
    wrong = [f.name for f in fields(rule) if same and getattr(short, f.name) != getattr(rule, f.name)]
    wrong = [name for name in wrong if type(getattr(rule, name)) is not int or type(getattr(short, name)) is not int]
    if not same or wrong:
        what = f"the field {wrong[0]}" if wrong else f"the rule to {type(short).__name__}"
        raise ConfigError(
            f"rule {rule.name}: shortened() changes {what}: it may change fields that are whole numbers; {GUIDE}"
        )
    return short


def _check_signals(rule: Rule) -> None:
    """Raise ConfigError if the rule declares a signal that there is not or that no method of it receives, or has a
    method without its signal."""
    if type(rule.signals) is not tuple or any(type(signal) is not str for signal in rule.signals):
        raise ConfigError(
            f"rule {rule.name} declares signals {rule.signals!r}: they must be a tuple of words, such as ('error',)"
        )
    for signal in rule.signals:
        if signal not in SIGNALS:
            raise ConfigError(f"rule {rule.name} declares the signal {signal!r}: signals are {', '.join(SIGNALS)}")
    if (rule.update == "with_weight" or overrides(rule, "rate")) and "gradient" not in rule.signals:
        raise ConfigError(f"rule {rule.name} updates B with W: add 'gradient' to its signals")
    if (rule.mirror_noise() is None) == ("mirror" in rule.signals):
        raise ConfigError(
            f"rule {rule.name} must have both the signal 'mirror' and a mirror_noise() that returns MirrorNoise, or "
            "neither"
        )
    for method in sorted({name for names in METHODS.values() for name in names} - {"send_back"}):
        wanted = [signal for signal, names in METHODS.items() if method in names]
        if overrides(rule, method) and not set(wanted) & set(rule.signals):
            raise ConfigError(f"rule {rule.name} has {method}(): add {' or '.join(map(repr, wanted))} to its signals")
    for signal in rule.signals:
        _check_received(rule, signal)


def _check_received(rule: Rule, signal: str) -> None:
    """Raise ConfigError if the rule declares a signal and has no method that receives it."""
    by_nowt = signal == "sign" or (signal == "gradient" and rule.update == "with_weight")
    only_backprop = signal == "weight" and not rule.covers("", False)
    methods = METHODS.get(signal, ())
    if not (by_nowt or only_backprop or any(overrides(rule, method) for method in methods)):
        wanted = " or ".join(f"{name}()" for name in methods)
        raise ConfigError(
            f"rule {rule.name} declares the signal {signal!r} and does not use it: add {wanted}, or remove the signal"
        )
