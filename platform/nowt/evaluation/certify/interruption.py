"""Training of the small network that is saved and continued: what a checkpoint contains, and nothing else."""

import copy
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from nowt.core.errors import ConfigError
from nowt.core.imports import OWN, PREFIX, load_copy
from nowt.core.plugins import call_factory
from nowt.core.random_state import preserved_random_state
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
    """Return copies of what training changes: B, other state of the rule, W, buffers and optimizer state."""
    return clones(testbed.rule_state()) | clones(testbed.network_state())


def in_new_process(rule: Rule) -> Rule:
    """Return the rule as a new process has it: a new object and, for a custom rule, new module variables.

    The rule's file runs once more, with the local modules that it imports; of a module on ``sys.path``, it runs alone.
    A class that no module holds (one made by a function), and one of a script or a notebook, remains the same.

    Raises ConfigError if the file cannot run once more, or does not define the class then.
    """
    kind = _kind_again(type(rule))
    return kind(**{item.name: getattr(rule, item.name) for item in fields(rule) if item.init})


def _kind_again(kind: type[Rule]) -> type[Rule]:
    module = sys.modules.get(kind.__module__)
    if module is None or module.__name__ == "__main__" or module.__name__.partition(".")[0] in OWN:
        return kind
    name = next((name for name in (kind.__qualname__, *vars(module)) if _found(module, name) is kind), None)
    if name is None:
        return kind
    file = getattr(module, "__file__", None) or module.__name__
    again = call_factory(f"a second import of {file}", _run_again, ModuleType, module)
    found = _found(again, name)
    if not (isinstance(found, type) and issubclass(found, Rule)):
        raise ConfigError(f"a second import of {file} defines no rule {name}: it must do the same each time")
    return found


def _found(module: ModuleType, name: str) -> object:
    """Return what ``name``, which may be dotted, stands for in a module; None if it does not exist."""
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _run_again(module: ModuleType) -> ModuleType:
    name, spec = module.__name__, module.__spec__
    if name.startswith(PREFIX):
        return load_copy(name)
    if spec is None or spec.loader is None:
        return module
    again = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(again)
    finally:
        sys.modules[name] = module
    return again
