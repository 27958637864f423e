"""Config fields on the command line: ``--optim.lr 0.2`` beside a command's own options.

The config is imported when a token may be a field, because it imports torch.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from nowt.core.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from nowt.config.overrides import Override


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


def parse_overrides(tokens: Sequence[str], options: Sequence[str]) -> "list[Override]":
    """Parse ``--a.b value`` and ``--a.b=value`` pairs. Raises ConfigError for any other token.

    The command's own ``options`` are suggested for a misspelt one.
    """
    from nowt.config.overrides import Override

    overrides = []
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if not token.startswith("--"):
            raise ConfigError(f"{token!r} is not expected here: fields are given as --optim.lr 0.2")
        path, equals, text = token[2:].partition("=")
        if not _is_field(f"--{path}"):
            known = [*options, *(f"--{name}" for name in _default_paths())]
            raise ConfigError(f"there is no option --{path}{did_you_mean('--' + path, known)}; --help lists all")
        if not equals and (not rest or rest[0].startswith("--")):
            raise ConfigError(f"--{path} needs a value")
        overrides.append(Override(path, text if equals else rest.pop(0)))
    check_given_once([f"--{override.path.replace('-', '_')}" for override in overrides])
    return overrides


def refuse_rest(tokens: Sequence[str], options: Sequence[str]) -> None:
    """Raise ConfigError for the first token that a command without fields does not expect."""
    for token in tokens:
        if not token.startswith("-"):
            raise ConfigError(f"{token!r} is not expected here; --help lists all arguments")
        option = token.partition("=")[0]
        raise ConfigError(f"there is no option {option}{did_you_mean(option, options)}; --help lists all")


def check_given_once(names: Sequence[str]) -> None:
    """Raise ConfigError for an option that is given more than once."""
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{name} is given {names.count(name)} times; give it once")


@cache
def _default_paths() -> list[str]:
    from nowt.config.overrides import field_paths
    from nowt.config.run_config import RunConfig

    return field_paths(RunConfig())


def _is_field(option: str) -> bool:
    """Return whether ``option`` is a field or lies in a group of fields; ``rule`` itself is one."""
    if not option.startswith("--"):
        return False
    group = option.removeprefix("--").partition(".")[0].replace("-", "_")
    return group in {"rule", *(path.partition(".")[0] for path in _default_paths())}
