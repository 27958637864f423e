"""Something that is about to be changed: shown first, done when the user agrees."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One change: what a person reads before it, and what does it."""

    text: str
    do: Callable[[], object]


def carry_out(steps: Sequence[Step], yes: bool, say: Callable[[str], None]) -> bool:
    """Show the steps, ask unless ``yes``, and do them in order; whether they were done."""
    for step in steps:
        say(f"  will {step.text}")
    if not (yes or agreed()):
        say("nothing was changed")
        return False
    for step in steps:
        step.do()
        say(f"  done: {step.text}")
    return True


def agreed() -> bool:
    """Whether the user says yes. Raises ValueError where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise ValueError("there is no terminal to ask at: read the list above, then give --yes")
    return input("Go on? [y/N] ").strip().lower() in ("y", "yes")
