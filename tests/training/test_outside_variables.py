"""A rule is refused if its code changes a variable that no checkpoint contains, wherever it is. Variables that its code
does not use may change."""

import sys
import types
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from nowt.config.run_config import ModelConfig
from nowt.core.errors import ConfigError
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView
from nowt.rules.registry import find_rule
from nowt.training.loop import train
from nowt.training.outside_variables import outside_variables
from tests.support.short_runs import CPU, short_run

IMPORTS = """
import enum, functools, itertools, logging, random, threading, types, weakref
from collections import deque
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
import scipy.sparse
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

    def after_step(self, layer, step):
        {step}
"""

CHANGING = {
    "an array": ("SEEN = np.zeros(2)", "SEEN[0] += 1", "'SEEN' of own.py"),
    "a deque": ("SEEN = deque(maxlen=3)", "SEEN.append(step)", "'SEEN' of own.py"),
    "a set": ("SEEN = {0}", "SEEN.add(step + 5)", "'SEEN' of own.py"),
    "a tensor's data": ("SEEN = torch.zeros(2)", "SEEN.data += 1", "'SEEN' of own.py"),
    "a number": ("SEEN = 0", "global SEEN; SEEN += 1", "'SEEN' of own.py"),
    "a new number": ("", "global SEEN; SEEN = step", "'SEEN' of own.py .* was set during training"),
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
        "add(step)",
        "'SEEN' of own.py",
    ),
    "a table of functions": ("SEEN = []\nSTEPS = {'a': lambda: SEEN.append(1)}", "STEPS['a']()", "'SEEN' of own.py"),
    "a method": ("COUNTER = Counter()\ncount = COUNTER.count", "count()", "'count' of own.py"),
    "a bound method of a helper": ("add = Counter().count", "add()", "'add' of own.py"),
    "an optimizer": (
        "B = torch.nn.Parameter(torch.zeros(2))\nADAM = torch.optim.Adam([B])",
        "B.grad = torch.ones(2); ADAM.step()",
        "'ADAM' of own.py|'B' of own.py",
    ),
    "a namespace": ("STATE = types.SimpleNamespace(n=0)", "STATE.n += 1", "'STATE' of own.py"),
    "an object with slots": (
        "@dataclass(slots=True)\nclass State:\n    n: int = 0\nSTATE = State()",
        "STATE.n += 1",
        "'STATE' of own.py",
    ),
    "a module's number": (
        "class Net(torch.nn.Module):\n    n = 0\nNET = Net()",
        "NET.n += 1",
        "'NET' of own.py",
    ),
    "an iterator": ("NEXT = iter([1, 2, 3, 4, 5])", "next(NEXT, None)", "'NEXT' of own.py"),
    "a bytearray": ("SEEN = bytearray(2)", "SEEN[0] = step", "'SEEN' of own.py"),
    "a helper imported under another name": (
        "import helper as h",
        "h.FACTORS['decay'] *= 0.5",
        "'FACTORS' of helper.py",
    ),
    "a helper in a local variable": ("", "h = helper; h.FACTORS['decay'] *= 0.5", "'FACTORS' of helper.py"),
    "an attribute of B": ("", "layer.feedback.n = step", "attribute 'n' of 'feedback' of layer"),
    "a counter": ("COUNT = itertools.count()", "next(COUNT)", "'COUNT' of own.py"),
    "a generator function": ("def numbers(): yield from range(99)\nNEXT = numbers()", "next(NEXT)", "'NEXT' of own.py"),
}

KINDS = (
    "(torch.Tensor, list, np.ndarray)",
    "{np.ndarray: 1}",
    "dict[str, int]",
    "type('Attr', (dict,), {'__getattr__': dict.__getitem__})(a=1)",
    "type('Bad', (), {'__getattr__': lambda self, name: 1 / 0, '__len__': lambda self: 1 / 0})()",
    "scipy.sparse.eye(3)",
    "torch.eye(3).to_sparse()",
    "torch.empty(3, device='meta')",
    "torch.zeros(2, dtype=torch.complex64).conj()",
    "torch.zeros(1).expand(10**12)",
    "np.broadcast_to(np.zeros(1), (10**12,))",
    "np.array([object()])",
    "2**20000",
    "float('nan')",
    "threading.Lock()",
    "weakref.WeakValueDictionary()",
    "[C0]; [C16.append(C16) for _ in range(40)]",
    "{object()}",
    "logging.getLogger('own')",
    "type",
    "torch.nn.Linear(2, 2)",
)

USES_ALL = ", ".join(f"C{n}" for n in range(len(KINDS)))

CONSTANT = {
    "a package that loads its modules when they are used": ("import lazy", "lazy.scale; lazy.other"),
    "a constant iterator": ("NUMBERS = iter(range(3))", "NUMBERS"),
    "a tensor without memory": ("EMPTY = torch.nn.UninitializedParameter()", "EMPTY"),
    "constants of every kind": ("\n".join(f"C{n} = {each}" for n, each in enumerate(KINDS)), USES_ALL),
    "nested objects": (
        "@dataclass(frozen=True)\nclass Phase:\n    rate: float\n"
        "@dataclass(frozen=True)\nclass Plan:\n    phases: tuple\n"
        "PLAN = Plan((Phase(0.1), Phase(0.2)))\nTABLE = {'a': [{'b': Phase(1.0)}]}",
        "PLAN.phases[0], TABLE['a']",
    ),
    "flags": ("class Part(enum.Flag):\n    A = 1\n    B = 2", "Part.A | Part.B"),
    "a function of several types": (
        "@functools.singledispatch\ndef f(x): return 0\n@f.register\ndef _(x: int): return 1",
        "f(3), f('x'), f(2.0)",
    ),
    "a default of a class": ("def f(kind=dict): return kind()", "f()"),
    "a constant": ("DECAY = [0.9, np.ones(2), torch.ones(2)]", "DECAY[0]"),
    "a cached function": ("@functools.cache\ndef factor(step): return 0.9", "factor(step)"),
    "a log": ("log = logging.getLogger('own')", "log.debug('step %d', step)"),
    "a helper's constants": ("", "scaled(helper.FACTORS['decay'])"),
    "an unused list": ("SEEN = []\ndef other(): SEEN.append(1)", "pass"),
    "an attribute of the same name": ("n = [0]", "Counter().n"),
}


@pytest.fixture(autouse=True)
def lazy_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package, one of whose variables appears when it is first used, as the modules of SciPy do."""
    package = types.ModuleType("lazy")

    def load(name: str) -> float:
        if name.startswith("__"):
            raise AttributeError(name)
        return float(vars(package).setdefault(name, 1.0))

    package.__dict__["__getattr__"] = load
    monkeypatch.setitem(sys.modules, "lazy", package)


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


def test_an_attribute_is_not_taken_for_a_variable_of_the_same_name_in_a_helper(tmp_path: Path) -> None:
    rule = own_rule(tmp_path, "helper.n = [0]", "helper.scaled(Counter().n)")
    used = outside_variables(rule, {})
    assert "variable 'FACTORS' of helper.py" in used and not any("'n'" in name for name in used)


EPOCHS_SEEN: list[int] = []  # changed by the loop below, as the variables of a script are


@dataclass(frozen=True)
class Decaying(FeedbackAlignment):
    """Uses none of the variables around it."""

    name: ClassVar[str] = "decaying"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.mul_(0.999)


def test_a_script_around_a_rule_may_change_its_own_variables() -> None:
    config = replace(short_run("fa", model=ModelConfig("mlp", hidden=(20,))), rule=Decaying())
    for record in train(config, CPU):
        EPOCHS_SEEN.append(record.epoch)
    assert len(EPOCHS_SEEN) == config.epochs + 1
