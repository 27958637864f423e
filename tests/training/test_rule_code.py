"""Code that a rule brings is told from that of the model, also if both come from one file."""

import sys
from dataclasses import replace
from pathlib import Path

from nowt.core.plugins import load_module
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.registry import find_rule
from nowt.store.audits import Audit
from nowt.training.loop import train
from nowt.training.rule_code import is_code_of
from tests.support.short_runs import CPU, STEPS, short_run

BOTH = """
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from nowt import FeedbackAlignment
from shared_part import block


class Net(nn.Module):
    def forward(self, x):
        return block(x)


def read(layer):
    return layer


@dataclass(frozen=True)
class Mine(FeedbackAlignment):
    name: ClassVar[str] = "mine"

    def after_step(self, layer, step):
        read(layer)
"""


def test_of_a_file_with_rule_and_model_the_classes_of_the_model_are_not_the_rules(tmp_path: Path) -> None:
    (tmp_path / "shared_part.py").write_text("def block(x):\n    return x\n")
    path = tmp_path / "both.py"
    path.write_text(BOTH)
    rule = find_rule(str(path))()
    module = sys.modules[type(rule).__module__]
    belongs = is_code_of(rule, module.Net())
    assert belongs(type(rule).after_step.__code__) and belongs(module.read.__code__)
    assert not belongs(module.Net.forward.__code__) and not belongs(module.block.__code__)


def test_what_only_the_rule_imports_is_its_code(tmp_path: Path) -> None:
    (tmp_path / "shared_part.py").write_text("def block(x):\n    return x\n")
    (tmp_path / "other.py").write_text("from torch import nn\n\n\nclass Other(nn.Module):\n    pass\n")
    path = tmp_path / "both.py"
    path.write_text(BOTH)
    rule, other = find_rule(str(path))(), load_module(str(tmp_path / "other.py")).Other()
    assert is_code_of(rule, other)(sys.modules[type(rule).__module__].block.__code__)


def test_built_in_rules_have_no_foreign_code() -> None:
    from torch import nn

    assert not is_code_of(FeedbackAlignment(), nn.Linear(2, 2))(FeedbackAlignment.feedback.__code__)


def test_a_rule_whose_file_is_edited_during_a_run_is_still_audited(tmp_path: Path) -> None:
    (tmp_path / "shared_part.py").write_text("def block(x):\n    return x\n")
    path, found = tmp_path / "both.py", list[Audit]()
    path.write_text(BOTH)
    config = replace(short_run("fa"), rule=find_rule(str(path))())
    for _ in train(config, replace(CPU, audit=2 * STEPS), on_audit=found.append):
        path.write_text("def unfinished(:\n")
        (tmp_path / "shared_part.py").write_text("")
    assert len(found) > STEPS and not any(audit.problem for audit in found)
