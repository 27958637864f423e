"""A rule's copies share no variable of its file, and the file must run a second time as it does at first."""

import importlib
import sys
from pathlib import Path

import pytest

from nowt import ConfigError, find_rule
from nowt.evaluation.certify.certificate import Check
from nowt.evaluation.certify.interruption import in_new_process
from nowt.evaluation.certify.resumed import check_resumed
from nowt.rules.base import Rule
from nowt.rules.kolen_pollack import KolenPollack

RULE = '''
from dataclasses import dataclass
from typing import ClassVar

from nowt import DrawnFeedback
{before}


@dataclass(frozen=True)
class Counts(DrawnFeedback):
    """A rule that adds the number of its calls so far to B."""

    name: ClassVar[str] = "counts"
    def after_step(self, layer, step):
        {first}
        layer.feedback.add_(1e-3 * len(seen))
        seen.append(step)
'''

COUNTER = "seen = []\n"


def rule_in(folder: Path, before: str, first: str = "pass") -> Rule:
    (folder / "counter.py").write_text(COUNTER)
    file = folder / "counts.py"
    file.write_text(RULE.format(before=before, first=first))
    return find_rule(f"{file}:Counts")()


@pytest.mark.parametrize(
    ("before", "first"),
    [
        (COUNTER, "pass"),
        ("from counter import seen", "pass"),
        ("", "from counter import seen"),
        ("from .counter import seen", "pass"),
    ],
    ids=["of the file", "of a module beside it", "imported in a method", "imported relatively"],
)
def test_state_in_a_variable_of_a_module_is_lost_as_in_a_new_process(before: str, first: str, tmp_path: Path) -> None:
    resumed = next(check_resumed(rule_in(tmp_path, before, first)))
    assert isinstance(resumed, Check)
    assert not resumed.passed and resumed.measured.startswith("differs: ")


def test_state_in_a_variable_of_an_importable_module_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "importable_counts.py").write_text(RULE.format(before=COUNTER, first="pass"))
    monkeypatch.syspath_prepend(str(tmp_path))
    rule = importlib.import_module("importable_counts").Counts()
    first, second = in_new_process(rule), in_new_process(rule)
    assert len({type(each) for each in (rule, first, second)}) == 3
    assert sys.modules["importable_counts"].Counts is type(rule)
    del sys.modules["importable_counts"]


def test_a_file_that_cannot_run_a_second_time_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "seen", False, raising=False)
    rule = rule_in(tmp_path, "import sys\nif sys.seen:\n    raise RuntimeError('once is enough')\nsys.seen = True")
    with pytest.raises(ConfigError) as raised:
        in_new_process(rule)
    assert str(raised.value) == f"a second import of {tmp_path}/counts.py failed: RuntimeError: once is enough"


def test_a_file_that_ends_the_process_at_its_second_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "seen", False, raising=False)
    rule = rule_in(tmp_path, "import sys\nif sys.seen:\n    sys.exit(0)\nsys.seen = True")
    with pytest.raises(ConfigError, match=r"^a second import of .*counts.py ends the process \(exit code 0\)$"):
        in_new_process(rule)


def test_a_rule_that_only_the_first_run_defines_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "seen", False, raising=False)
    rule = rule_in(tmp_path, "import sys\nDrawnFeedback = object if sys.seen else DrawnFeedback\nsys.seen = True")
    with pytest.raises(ConfigError, match=r"^a second import of .*counts.py defines no rule Counts: it must"):
        in_new_process(rule)


def test_a_rule_that_no_module_holds_remains_the_same_class() -> None:
    class Local(KolenPollack):
        """Kolen-Pollack of a function."""

    for rule in (Local(), KolenPollack()):
        copy = in_new_process(rule)
        assert type(copy) is type(rule) and copy == rule and copy is not rule
