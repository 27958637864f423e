"""``nowt certify``."""

from argparse import Namespace
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import TYPE_CHECKING

from nowt.cli.parser import Commands, add_command, local_path
from nowt.core.errors import ConfigError, UserError
from nowt.core.exits import custom_line
from nowt.store.files import check_writable
from nowt.store.links import check_links

if TYPE_CHECKING:
    from nowt.rules.base import Rule

# what the code of a rule may raise while it is certified
RAISED = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError)


class BrokenRule(Exception):
    """A rule's own code raised an exception while it was certified."""


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "certify",
        "check that a learning rule keeps its promises, and write its certificate",
        "nowt certify kp --rule.scale 2",
        fields="The rule's fields can be set as --rule.FIELD VALUE; each setting has a certificate of its own.",
    )
    parser.add_argument(
        "rule", metavar="RULE", nargs="?", help="a rule's name, or a FILE.py that defines one; with --step, any module"
    )
    parser.add_argument("--all", action="store_true", help="certify every built-in rule")
    parser.add_argument(
        "--out",
        type=local_path,
        metavar="DIR",
        help="folder of the certificates (default: STORE/certificates; with --step, none is written)",
    )
    parser.add_argument(
        "--step",
        metavar="FUNCTION",
        help="examine training code that nowt did not write: RULE is its FILE.py or module, and FUNCTION() returns "
        "(model, step), where step() does one training step (docs/certifying-other-code.md)",
    )


def run(args: Namespace) -> int:
    """Write the certificate of one rule, with the given fields, or of all built-in rules; or examine a step."""
    if args.step is not None:
        return _examine_step(args)
    out = Path(args.out or f"{args.store}/certificates")
    chosen = _rules(args)
    from nowt.evaluation.certify.run import certify_command

    if not args.out:
        check_links(Path(args.store))
    check_writable(out, "--out" if args.out else "--store")
    try:
        code: int = certify_command(chosen, out)
    except UserError:
        raise
    except RAISED as error:
        name, reason = args.rule or "--all", str(error).strip().partition("\n")[0]
        file, line = custom_line(error)
        where = f" at {file}:{line}" if file else ""
        raise BrokenRule(
            f"certifying {name} raised {type(error).__name__}{where}: {reason}{_advice(error)} (--debug shows the "
            "traceback)"
        ) from error
    return code


def _advice(error: BaseException) -> str:
    if isinstance(error, FrozenInstanceError):
        return (
            ". A rule is frozen: keep state in tensors that prepare() registers with layer.register_state, and change "
            "them in place"
        )
    return ""


def _examine_step(args: Namespace) -> int:
    if not args.rule or args.all or args.overrides:
        raise ConfigError("--step needs a module and no rule's fields: nowt certify FILE.py --step FUNCTION")
    if args.out:
        check_writable(Path(args.out), "--out")
    from nowt.evaluation.certify.step_command import certify_step_command

    return certify_step_command(args.rule, args.step, Path(args.out) if args.out else None)


def _rules(args: Namespace) -> "list[Rule]":
    from nowt.rules.registry import builtin_rules, check_rule, find_rule

    if args.all == bool(args.rule):
        raise ConfigError("give one rule or --all: nowt certify kp")
    for override in args.overrides:
        if args.all:
            raise ConfigError(f"--{override.path} cannot be combined with --all: give one rule")
        if not override.path.startswith("rule."):
            raise ConfigError(f"--{override.path} does not change the certificate of {args.rule}: --rule.FIELD does")
    if args.all:
        return [rule() for rule in builtin_rules()]
    check_rule(args.rule)  # before torch is imported
    from nowt.config.overrides import apply_overrides
    from nowt.config.run_config import RunConfig

    return [apply_overrides(RunConfig(rule=find_rule(args.rule)()), args.overrides).rule]
