"""``nowt certify``."""

import argparse
from pathlib import Path

from nowt.cli.options import none_of
from nowt.cli.parser import Verbs, add_verb
from nowt.config.overrides import Override, apply_overrides
from nowt.config.run_config import RunConfig
from nowt.core.errors import ConfigError
from nowt.rules.base import Rule
from nowt.store.files import check_writable

# what the code of a rule may raise while it is certified
RAISED = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError)


class BrokenRule(Exception):
    """A rule's own code raised while it was certified."""


def add(verbs: Verbs) -> None:
    """Its grammar."""
    verb = add_verb(verbs, "certify", "check a rule against its promises, and write its certificate", "nowt certify kp")
    verb.epilog = f"The rule's fields: --rule.scale 2. {verb.epilog}"
    verb.add_argument("rule", nargs="?", help="a rule's name, or a FILE.py of your own")
    verb.add_argument("--all", action="store_true", help="every built-in rule")
    verb.add_argument("--out", metavar="DIR", help="where the JSON goes (default: STORE/certificates)")


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """Certificates of one rule, with fields of its own where given, or of all."""
    from nowt.evaluation.certify.run import certify_command

    out = Path(typed.out or f"{typed.store}/certificates")
    chosen = _rules(typed, overrides)
    check_writable(out, "--out" if typed.out else "--store")
    try:
        code: int = certify_command(chosen, out)
    except RAISED as error:
        name, reason = typed.rule or "--all", str(error).strip().partition("\n")[0]
        raise BrokenRule(f"certifying {name} raised {type(error).__name__}: {reason} (--debug shows where)") from error
    return code


def _rules(typed: argparse.Namespace, overrides: list[Override]) -> list[Rule]:
    from nowt.rules.registry import RULES, find_rule

    if typed.all == bool(typed.rule):
        raise ConfigError("name one rule, or give --all: nowt certify kp")
    if typed.all:
        none_of(overrides)
        return [kind() for kind in RULES]
    for override in overrides:
        if not override.path.startswith("rule."):
            raise ConfigError(f"--{override.path} does not change the certificate of {typed.rule}: --rule.FIELD does")
    return [apply_overrides(RunConfig(rule=find_rule(typed.rule)()), overrides).rule]
