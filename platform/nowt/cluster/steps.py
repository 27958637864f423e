"""Changes that are printed first, and applied after the user confirms."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nowt.core.errors import Echo, UserError


@dataclass(frozen=True)
class Step:
    """One change: its description, and the function that applies it."""

    description: str
    apply: Callable[[], object]


def apply_steps(steps: Sequence[Step], yes: bool, echo: Echo) -> bool:
    """Show the steps, ask for confirmation unless ``yes``, and apply them; return whether they were applied."""
    for step in steps:
        echo(f"  will {step.description}")
    if not (yes or confirm()):
        echo("nothing was changed")
        return False
    for step in steps:
        step.apply()
        echo(f"  done: {step.description}")
    return True


def confirm() -> bool:
    """Ask the user for confirmation. Raises ValueError without a terminal."""
    if not sys.stdin.isatty():
        raise UserError("there is no terminal to ask for confirmation: check the list above, then add --yes")
    return input("Continue? [y/N] ").strip().lower() in ("y", "yes")
