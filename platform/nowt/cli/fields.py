"""Config fields on the command line: ``--optim.lr 0.2`` beside a command's own options.

The config, which imports torch, is imported only when all tokens are known.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile

from nowt.config.field_names import FIELDS, Override, check_path, default_paths
from nowt.core.errors import ConfigError, did_you_mean
from nowt.rules.registry import check_rule

SHOWN = 3  # an option of more commands is a common one, such as --store; its commands are not named


def split_field_args(tokens: Sequence[str], options: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the tokens into those that set fields (``--a.b value``, ``--a.b=value``) and all others.

    A command's own ``options`` come first: the ``--seeds`` of ``nowt ablate`` is not the field of that name.
    """
    fields: list[str] = []
    others: list[str] = []
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        option, equals, _ = token.partition("=")
        if option in options or not _is_field(option):
            others.append(token)
            continue
        fields.append(token)
        if not equals and rest and not rest[0].startswith("--"):
            fields.append(rest.pop(0))
    return fields, others


def refuse_unknown(
    tokens: Sequence[str], options: Sequence[str], takes_fields: bool, commands: Mapping[str, Sequence[str]]
) -> None:
    """Raise ConfigError for the first token that looks like an option and is none of the command's ``options``.

    The tokens must not contain fields; with ``takes_fields``, the message also suggests a field. ``commands`` are the
    options of every command: the message says which commands have the option.
    """
    known = [*options, *(f"--{path}" for path in default_paths() if takes_fields)]
    for token in takewhile(lambda token: token != "--", tokens):
        option = token.partition("=")[0]
        if re.match("--?[A-Za-z]", option) and option not in options:
            owners = [f"nowt {name}" for name, theirs in commands.items() if option in theirs]
            hint = f" here, but in {', '.join(owners)}" if 0 < len(owners) <= SHOWN else did_you_mean(option, known)
            raise ConfigError(f"there is no option {option}{hint}; --help lists all")


def parse_overrides(tokens: Sequence[str]) -> list[Override]:
    """Parse ``--a.b value`` and ``--a.b=value`` pairs. Raises ConfigError for a misspelt field and any other token.

    The fields of a rule are checked when they are applied, since they depend on the rule.
    """
    pairs = []
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if not _is_field(token.partition("=")[0]):
            raise ConfigError(f"{token!r} is not expected here: fields are given as --optim.lr 0.2")
        path, equals, text = token[2:].partition("=")
        check_path(path)
        if not equals and (not rest or rest[0].startswith("--")):
            raise ConfigError(f"--{path} needs a value")
        pairs.append((path, text if equals else rest.pop(0)))
    check_given_once([f"--{path.replace('-', '_')}" for path, _ in pairs])
    return [Override(path, text) for path, text in pairs]


def check_rule_names(overrides: Sequence[Override]) -> None:
    """Raise ConfigError for a ``--rule`` that does not exist. torch is not imported, which takes seconds."""
    for override in overrides:
        if override.path == "rule":
            check_rule(override.text)


def refuse_rest(tokens: Sequence[str]) -> None:
    """Raise ConfigError if there are tokens, which a command without fields does not expect."""
    if tokens:
        raise ConfigError(f"{tokens[0]!r} is not expected here; --help lists all arguments")


def check_given_once(names: Sequence[str]) -> None:
    """Raise ConfigError for an option that is given more than once."""
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{name} is given {names.count(name)} times; give it once")


def _is_field(option: str) -> bool:
    """Return whether ``option`` is a field or lies in a group of fields; ``rule`` itself is one."""
    if not option.startswith("--"):
        return False
    group = option.removeprefix("--").partition(".")[0].replace("-", "_")
    return group in FIELDS
