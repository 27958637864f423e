"""The list of rules: what config, command line, tests and plots read. A rule of your own joins it (see ``find``)."""

import hashlib
from importlib.metadata import entry_points
from pathlib import Path

from nowt.rules.backprop import Backprop
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.sham import Sham
from nowt.rules.sign_symmetry import SignSymmetry
from nowt.rules.weight_mirror import WeightMirror

RULES: tuple[type[Rule], ...] = (
    Backprop,
    FeedbackAlignment,
    SignSymmetry,
    WeightMirror,
    KolenPollack,
    Sham,
)


def rule_names() -> list[str]:
    """Every rule's name: built in, then those of installed packages (entry point group ``nowt.rules``)."""
    return [rule.name for rule in RULES] + sorted(point.name for point in entry_points(group="nowt.rules"))


def find_rule(name: str) -> type[Rule]:
    """The rule called ``name``, or the one in the file ``name`` (``./mylab/pal.py`` or ``./mylab/pal.py:Pal``).

    Raises ConfigError naming the nearest rule.
    """
    for rule in RULES:
        if rule.name == name:
            return rule
    if ".py" in name:
        return _from_file(name)
    for point in entry_points(group="nowt.rules"):
        if point.name == name:
            return _checked(point.load(), name)
    from nowt.core.errors import ConfigError, nearest

    known = rule_names()
    raise ConfigError(
        f"there is no rule {name!r}{nearest(name, known)}; there are: {', '.join(known)}, or a FILE.py of yours"
    )


def _from_file(spec: str) -> type[Rule]:
    """The one rule that a file defines. Its name is the spec and its numerics the file's text, so that an edited
    rule makes new runs."""
    from nowt.core.errors import ConfigError
    from nowt.core.plugins import load_module

    path, _, wanted = spec.partition(":")
    module = load_module(Path(path))
    own = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Rule)]
    own = [v for v in own if v.__module__ == module.__name__ and (not wanted or v.__name__ == wanted)]
    if len(own) != 1:
        found = ", ".join(v.__name__ for v in own) or "none"
        raise ConfigError(
            f"{spec} must define one rule, a subclass of nowt.rules.Rule; found: {found} (FILE.py:CLASS names one)"
        )
    rule = _checked(own[0], spec)
    rule.source = spec
    rule.numerics = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]
    return rule


def _checked(rule: type[Rule], spec: str) -> type[Rule]:
    from nowt.core.errors import ConfigError

    # of its own: those of a parent would pass for it, and its fields would be ignored in silence
    own = vars(rule)
    if not isinstance(own.get("name"), str) or "__dataclass_fields__" not in own:
        raise ConfigError(f"{spec}: {rule.__name__} needs a class variable `name` and @dataclass(frozen=True)")
    return rule
