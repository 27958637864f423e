"""A rule is refused if its code changes a variable that no checkpoint contains, wherever it is. Variables that its code
does not use may change."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from nowt.config.run_config import ModelConfig
from nowt.core.errors import ConfigError
from nowt.rules.base import FeedbackLayer, Moment, Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.registry import find_rule
from nowt.training.loop import train
from tests.support.short_runs import CPU, short_run

IMPORTS = """
import functools, itertools, logging, random
from collections import deque
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
import torch
from nowt.rules.feedback_alignment import FeedbackAlignment
import helper
from helper import Counter, scaled
"""

HELPER = """
CALLS = 0
FACTORS = {"decay": 0.99}

class Counter:
    calls = 0
    def __init__(self):
        self.n = 0
    def count(self):
        self.n += 1
        return self.n

def count():
    global CALLS
    CALLS += 1
    return CALLS

def scaled(value):
    return value * FACTORS["decay"]
"""

RULE = """
@dataclass(frozen=True)
class Own(FeedbackAlignment):
    name: ClassVar[str] = "own"

    def after_step(self, layers, moment):
        {step}
        return 0
"""

CHANGING = {
    "an array": ("SEEN = np.zeros(2)", "SEEN[0] += 1", "'SEEN' of own.py"),
    "a deque": ("SEEN = deque(maxlen=3)", "SEEN.append(moment.step)", "'SEEN' of own.py"),
    "a set": ("SEEN = {0}", "SEEN.add(moment.step + 5)", "'SEEN' of own.py"),
    "a tensor's data": ("SEEN = torch.zeros(2)", "SEEN.data += 1", "'SEEN' of own.py"),
    "a number": ("SEEN = 0", "global SEEN; SEEN += 1", "'SEEN' of own.py"),
    "a new number": ("", "global SEEN; SEEN = moment.step", "'SEEN' of own.py .* was set during training"),
    "a generator of Python": ("NOISE = random.Random(0)", "NOISE.random()", "'NOISE' of own.py"),
    "a generator of NumPy": ("NOISE = np.random.default_rng(0)", "NOISE.random()", "'NOISE' of own.py"),
    "an old generator of NumPy": ("NOISE = np.random.RandomState(0)", "NOISE.rand()", "'NOISE' of own.py"),
    "a network": ("NET = torch.nn.Linear(1, 1)", "NET.weight.data += 1", "'NET' of own.py"),
    "a helper's object": ("COUNTER = Counter()", "COUNTER.count()", "'COUNTER' of own.py"),
    "a helper's class": ("", "Counter.calls += 1", "class attribute 'calls' of Counter"),
    "a helper's variable": ("", "helper.CALLS += 1", "'CALLS' of helper.py"),
    "a helper's function": ("", "helper.count()", "'CALLS' of helper.py"),
    "a helper's table": ("", "helper.FACTORS['decay'] *= 0.9; scaled(1)", "'FACTORS' of helper.py"),
    "a function's attribute": (
        "def count(): count.n = getattr(count, 'n', 0) + 1",
        "count()",
        "attribute 'n' of count",
    ),
    "a default": ("def count(seen=[]): seen.append(1)", "count()", "default 'seen' of count"),
    "a closure": (
        "def make():\n  n = 0\n  def count():\n    nonlocal n\n    n += 1\n  return count\ncount = make()",
        "count()",
        "variable 'n' around make.<locals>.count",
    ),
    "a nested function": ("SEEN = []", "(lambda: SEEN.append(1))()", "'SEEN' of own.py"),
    "a partial": ("def add(seen): seen.append(1)\nadd = functools.partial(add, [])", "add()", "'add' of own.py"),
    "a wrapped function": (
        "SEEN = []\n@functools.cache\ndef add(n): SEEN.append(n)",
        "add(moment.step)",
        "'SEEN' of own.py",
    ),
    "a table of functions": ("SEEN = []\nSTEPS = {'a': lambda: SEEN.append(1)}", "STEPS['a']()", "'SEEN' of own.py"),
    "a method": ("COUNTER = Counter()\ncount = COUNTER.count", "count()", "'count' of own.py"),
    "a counter": ("COUNT = itertools.count()", "next(COUNT)", "'COUNT' of own.py"),
    "a generator function": ("def numbers(): yield from range(99)\nNEXT = numbers()", "next(NEXT)", "'NEXT' of own.py"),
}

CONSTANT = {
    "a constant": ("DECAY = [0.9, np.ones(2), torch.ones(2)]", "DECAY[0]"),
    "a cached function": ("@functools.cache\ndef factor(step): return 0.9", "factor(moment.step)"),
    "a log": ("log = logging.getLogger('own')", "log.debug('step %d', moment.step)"),
    "a helper's constants": ("", "scaled(helper.FACTORS['decay'])"),
    "an unused list": ("SEEN = []\ndef other(): SEEN.append(1)", "pass"),
    "an attribute of the same name": ("step = [0]", "moment.step"),
}


def own_rule(folder: Path, variables: str, step: str) -> Rule:
    (folder / "helper.py").write_text(HELPER)
    (folder / "own.py").write_text(IMPORTS + variables + "\n" + RULE.format(step=step))
    return find_rule(f"{folder}/own.py:Own")()


def train_briefly(rule: Rule) -> None:
    config = short_run("fa", model=ModelConfig("mlp", hidden=(20,)), epochs=2)
    list(train(replace(config, rule=rule), CPU))


@pytest.mark.parametrize("case", CHANGING)
def test_a_rule_that_changes_this_is_refused(tmp_path: Path, case: str) -> None:
    variables, step, message = CHANGING[case]
    with pytest.raises(ConfigError, match=message):
        train_briefly(own_rule(tmp_path, variables, step))


@pytest.mark.parametrize("case", CONSTANT)
def test_a_rule_that_uses_this_is_accepted(tmp_path: Path, case: str) -> None:
    train_briefly(own_rule(tmp_path, *CONSTANT[case]))


EPOCHS_SEEN: list[int] = []  # changed by the loop below, as the variables of a script are


@dataclass(frozen=True)
class Decaying(FeedbackAlignment):
    """Uses none of the variables around it."""

    name: ClassVar[str] = "decaying"

    def after_step(self, layers: Sequence[FeedbackLayer], moment: Moment) -> int:
        for layer in layers:
            layer.feedback.mul_(0.999)
        return 0


def test_a_script_around_a_rule_may_change_its_own_variables() -> None:
    config = replace(short_run("fa", model=ModelConfig("mlp", hidden=(20,))), rule=Decaying())
    for record in train(config, CPU):
        EPOCHS_SEEN.append(record.epoch)
    assert len(EPOCHS_SEEN) == config.epochs + 1
