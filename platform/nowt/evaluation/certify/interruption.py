"""Training of the small network that is saved and continued: what a checkpoint contains, and nothing else."""

import copy
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from nowt.core.random_state import preserved_random_state
from nowt.core.source_hash import is_own_code
from nowt.evaluation.certify.testbed import Testbed, clones
from nowt.rules.base import Rule

PACE = 0.01  # of a run, by which a rule's work before learning is shortened


@dataclass(frozen=True)
class Saved:
    """What a checkpoint contains: the model with the rule's registered state, and the optimizer."""

    model: dict[str, Any]
    optimizer: dict[str, Any]


def build_twice(rule: Rule) -> tuple[Testbed, Testbed]:
    """Return two testbeds whose rules drew the same, also from the global random states."""
    first, second = (seeded(lambda: Testbed.build(rule)) for _ in range(2))
    return first, second


def seeded(build: Callable[[], Testbed]) -> Testbed:
    """Return what ``build`` returns with the global random states at their first seed."""
    with preserved_random_state(torch.device("cpu"), seed=0):
        return build()


def save(testbed: Testbed) -> Saved:
    """Return a copy of the testbed's state."""
    return copy.deepcopy(Saved(dict(testbed.model.state_dict()), testbed.optimizer.state_dict()))


def load(testbed: Testbed, saved: Saved) -> None:
    """Restore a saved state."""
    testbed.model.load_state_dict(saved.model)
    testbed.optimizer.load_state_dict(copy.deepcopy(saved.optimizer))


def train(testbed: Testbed, numbers: Sequence[int]) -> None:
    """Run training steps. The global random states are those of each step, as in nowt's loop."""
    for number in numbers:
        with preserved_random_state(torch.device("cpu"), seed=number):
            testbed.step(number)


def state_of(testbed: Testbed) -> dict[str, Tensor]:
    """Return copies of what training changes: W, B, other state of the rule, buffers and optimizer state."""
    return clones(testbed.network_state()) | clones(testbed.rule_state())


def in_new_process(rule: Rule) -> Rule:
    """Return the rule as a new process has it: a new object and, for a rule of a custom module, new module variables.

    The module runs once more, apart from the one that is imported. Where that fails, only the object is new.
    """
    name = type(rule).__module__
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if name == "__main__" or spec is None or spec.loader is None or not is_own_code(name):
        return replace(rule)
    imported = sys.modules[name]
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        kind: Any = module
        for part in type(rule).__qualname__.split("."):
            kind = getattr(kind, part)
        found = kind(**{item.name: getattr(rule, item.name) for item in fields(rule) if item.init})
        return found if isinstance(found, Rule) else replace(rule)
    except Exception:
        return replace(rule)
    finally:
        sys.modules[name] = imported
