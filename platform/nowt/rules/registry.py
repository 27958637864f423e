"""The built-in rules by name, and custom rules from files and installed packages.

A rule's module is imported when the rule is first looked up, so that listing the names does not import torch.
"""

import hashlib
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from nowt.core.errors import ConfigError, did_you_mean
from nowt.core.plugins import existing_spec, load_module, module_source, place_of, split_spec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from nowt.core.source_hash import Source
    from nowt.rules.base import Rule

# name -> (long name, which is the module's, and class); the names are recorded in run keys and logs
_BUILT_IN = {
    "bp": ("backprop", "Backprop"),
    "fa": ("feedback_alignment", "FeedbackAlignment"),
    "ss": ("sign_symmetry", "SignSymmetry"),
    "wm": ("weight_mirror", "WeightMirror"),
    "kp": ("kolen_pollack", "KolenPollack"),
    "dfa": ("direct_feedback_alignment", "DirectFeedbackAlignment"),
    "dkp": ("direct_kolen_pollack", "DirectKolenPollack"),
    "ia": ("information_alignment", "InformationAlignment"),
    "sham": ("sham", "Sham"),
}
_SHORT_NAMES = {long: name for name, (long, _) in _BUILT_IN.items()}


def builtin_rules() -> tuple[type["Rule"], ...]:
    """Return the classes of the built-in rules, in the order in which tables and figures list them."""
    return tuple(map(_load, _BUILT_IN))


def rule_names() -> list[str]:
    """Return the names of the built-in rules, then of rules from installed packages (entry points ``nowt.rules``)."""
    return [*_BUILT_IN, *sorted(point.name for point in _installed())]


def short_name(name: str) -> str:
    """Return the name under which a rule is recorded: ``kp`` for ``kolen_pollack``; any other name as it is."""
    return _SHORT_NAMES.get(name, name)


def find_rule(name: str) -> type["Rule"]:
    """Return a rule's class by its name.

    Args:
        name: The short or long name of a built-in rule (``"kp"``, ``"kolen_pollack"``), the name of a rule of an
            installed package, or a file that defines a rule (``"./mylab/pal.py"``, ``"./mylab/pal.py:Pal"``). In the
            file of a study, space, recipe or rule, a relative path is relative to that file; elsewhere, to the working
            folder.

    Returns:
        The subclass of `Rule`. Call it with the rule's hyperparameters to get the rule itself.

    Raises:
        ConfigError: If there is no such rule (the message suggests the nearest name), or if the file does not define
            exactly one.

    Example:
        >>> from nowt import find_rule
        >>> find_rule("kolen_pollack")().name
        'kp'
    """
    check_rule(name)
    if short_name(name) in _BUILT_IN:
        return _load(short_name(name))
    if ".py" in name:
        return _from_file(name)
    point = next(point for point in _installed() if point.name == name)
    rule = _checked(point.load(), name)
    identify(rule)
    rule.source = ""  # its name finds it
    return rule


def check_rule(name: str) -> None:
    """Raise ConfigError, as ``find_rule`` does, for an unknown name or a missing file. The rule is not imported."""
    if ".py" in name:
        existing_spec(name)
        return
    if short_name(name) in _BUILT_IN or name in rule_names():
        return
    known = [*rule_names(), *_SHORT_NAMES]
    raise ConfigError(
        f"there is no rule {name!r}{did_you_mean(name, known)}; "
        f"there are: {', '.join(rule_names())}, or your own FILE.py"
    )


def require_rule(value: object) -> None:
    """Raise ConfigError unless ``value`` is a rule. If it is the name or the class of one, say how to make it."""
    from nowt.rules.base import Rule

    if isinstance(value, Rule):
        return
    given, advice = repr(value), "such as nowt.KolenPollack()"
    if isinstance(value, str):
        known = short_name(value) in _BUILT_IN
        advice = f"not a name: pass {f'nowt.{_BUILT_IN[short_name(value)][1]}() or ' if known else ''}"
        advice += f"nowt.find_rule({value!r})()"
    elif isinstance(value, type) and issubclass(value, Rule):
        given = f"the class {value.__name__}"  # nowt loads custom files under names of its own
        advice = f"not its class: pass {value.__name__}(), with its settings in the parentheses"
    raise ConfigError(f"rule is {given}: it must be a Rule, {advice}")


def _load(name: str) -> type["Rule"]:
    module, kind = _BUILT_IN[name]
    rule: type[Rule] = getattr(import_module(f"nowt.rules.{module}"), kind)
    return rule


def _installed() -> Iterable["EntryPoint"]:
    from importlib.metadata import entry_points

    return entry_points(group="nowt.rules")


def _from_file(spec: str) -> type["Rule"]:
    """Return the one rule that a file defines. Its source is the file's absolute path."""
    from nowt.rules.base import Rule

    whole = existing_spec(spec)
    path, _, wanted = split_spec(whole)
    module = load_module(path)
    defined = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Rule)]
    defined = [v for v in defined if v.__module__ == module.__name__]
    own = [v for v in defined if not wanted or v.__name__ == wanted]
    if len(own) != 1:
        raise ConfigError(_not_one_rule(spec, [v.__name__ for v in defined]))
    rule = _checked(own[0], spec)
    identify(rule)
    rule.source = whole
    return rule


def _not_one_rule(spec: str, names: list[str]) -> str:
    """Return why ``spec`` does not name one of the rules in its file, whose ``names`` are given."""
    place, _, wanted = split_spec(spec)
    found = ", ".join(names) or "none"
    if not wanted:
        return f"{spec} must define one rule, a subclass of nowt.Rule; found: {found} (FILE.py:CLASS names one)"
    return f"{place} defines no rule {wanted!r}{did_you_mean(wanted, names)}; subclasses of nowt.Rule in it: {found}"


def identify(rule: type["Rule"]) -> None:
    """Set ``source`` and ``numerics`` of a custom rule, also of one that a file has imported or defined itself.

    ``numerics`` becomes a hash of the rule's code, the name of its class, and the numerics of the rules that it derives
    from and that its code does not contain: those of nowt, of installed packages, and of files that ``find_rule``
    loaded. Rules of nowt and of installed packages keep theirs.
    """
    if "identified" in vars(rule) or rule.__module__.partition(".")[0] == "nowt":
        return
    module = sys.modules.get(rule.__module__)
    source = None if module is None else module_source(module)
    if module is not None and source is not None:
        inherited = [(base.__name__, base.numerics) for base in rule.__mro__[1:] if _is_outside(base, source)]
        facts = f"{source.digest} {rule.__qualname__} {inherited}"
        rule.numerics = hashlib.sha256(facts.encode()).hexdigest()[:12]
        rule.source = f"{place_of(module)}:{rule.__qualname__}"
    # at the end, so that no other thread takes the rule for identified before it is; of this class alone, since a
    # subclass has code of its own
    rule.identified = True  # type: ignore[attr-defined]


def _is_outside(kind: type, source: "Source") -> "TypeGuard[type[Rule]]":
    """Return whether a class is a rule whose code is not part of ``source``."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if not hasattr(kind, "numerics") or (file is not None and Path(file) in source.files):
        return False
    identify(kind)
    return True


def _checked(rule: type["Rule"], spec: str) -> type["Rule"]:
    # looked up in the class itself: a parent's name would pass for its own, and its fields would be ignored silently
    own = vars(rule)
    missing = [] if isinstance(own.get("name"), str) else ["a class variable `name`"]
    missing += [] if "__dataclass_fields__" in own else ["@dataclass(frozen=True)"]
    if missing:
        raise ConfigError(f"{spec}: {rule.__name__} needs {' and '.join(missing)}")
    from nowt.rules.rule_checks import check_rule_class

    check_rule_class(rule)
    if rule.name in {kind.name for kind in builtin_rules()}:
        raise ConfigError(f"{spec}: name = {rule.name!r} is the name of a built-in rule: give the rule another name")
    return rule
