"""Runs of custom rules and models get today's key only if nothing that was fixed since could have changed a number."""

import hashlib
from pathlib import Path

import pytest

from nowt.config.placement import Placement
from nowt.config.run_config import ModelConfig, RunConfig
from nowt.data.earlier import identify
from nowt.rules.registry import find_rule
from nowt.studies.upgrade.earlier_key import _key
from nowt.studies.upgrade.earlier_text import earlier_texts
from tests.core.test_source_hash import written
from tests.studies.upgrade.test_plan import planned, reason
from tests.support.earlier_store import write_earlier_run

RULE = """
from dataclasses import dataclass
from typing import ClassVar

from nowt import FeedbackAlignment


@dataclass(frozen=True)
class Quarter(FeedbackAlignment):
    name: ClassVar[str] = "quarter"
    scale: float = 0.25
"""

STEPPING = f"""{RULE}
    def after_step(self, layer, step):
        pass
"""

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.a = nn.Linear(shape[0] * shape[1] * shape[2], 16)
        self.b = nn.Linear(16, 16)
        self.c = nn.Linear(16, classes)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x.flatten(1))))))


def build(shape, classes):
    return Net(shape, classes)
"""


def write_rule(folder: Path, text: str, spec: str = "quarter.py", **others: str) -> RunConfig:
    files = {"quarter.py": text, **{f"{name}.py": other for name, other in others.items()}}
    written(folder, files)
    return RunConfig(rule=find_rule(str(folder / spec))())


def write_model(folder: Path, text: str, rule: str = "kp") -> RunConfig:
    path = written(folder, {"net.py": text})
    return RunConfig(model=ModelConfig(f"{path}:build"), rule=find_rule(rule)())


def test_a_custom_rule_that_has_not_changed_is_upgraded(tmp_path: Path) -> None:
    write_earlier_run(tmp_path, write_rule(tmp_path, RULE))
    assert len(planned(tmp_path).upgraded) == 1


@pytest.mark.parametrize("edited", [RULE.replace("0.25", "0.5"), f"# a comment\n{RULE}"])
def test_any_edit_since_is_a_reason_as_only_the_text_is_known(tmp_path: Path, edited: str) -> None:
    write_earlier_run(tmp_path, write_rule(tmp_path, RULE))
    write_rule(tmp_path, edited)
    assert reason(tmp_path) == "quarter.py has changed since the run"


def test_an_import_that_follows_the_new_names_of_nowts_modules_is_no_edit(tmp_path: Path) -> None:
    config = write_rule(tmp_path, RULE)
    before = RULE.replace("from nowt import FeedbackAlignment", "from nowt.rules.fa import FeedbackAlignment")
    earlier = hashlib.sha256(before.encode()).hexdigest()[:12]
    write_earlier_run(tmp_path, config, key=_key(config, identify(config.data, Placement()).earlier, earlier))
    assert len(planned(tmp_path).upgraded) == 1
    write_rule(tmp_path, RULE.replace("0.25", "0.5"))
    assert reason(tmp_path) == "quarter.py has changed since the run"


@pytest.mark.parametrize(
    ("today", "earlier"),
    [
        ("from nowt import KolenPollack", "from nowt.rules.kp import KolenPollack"),
        ("from nowt.rules.feedback import DrawnFeedback", "from nowt.rules.start import DrawnFeedback"),
        ("from nowt import Moment, Rule", "from nowt.rules import Moment, Rule"),
        ("from nowt import Moment, Rule", "from nowt.rules.rule import Moment, Rule"),
        (
            "from nowt import (\n    Moment,\n    WeightMirror,\n)",
            "from nowt.rules.rule import Moment\nfrom nowt.rules.wm import WeightMirror",
        ),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_imports_are_written_as_before(today: str, earlier: str, end: str) -> None:
    frame = "import torch\n{}\n\nX = 1\n"
    texts = [frame.format(text).replace("\n", end).encode() for text in (today, earlier)]
    assert texts[1] in earlier_texts(texts[0])


@pytest.mark.parametrize("text", ["from nowt import attach\n", "import nowt\n", "no python", "X = 1\n"])
def test_other_text_is_tried_as_it_is(text: str) -> None:
    assert set(earlier_texts(text.encode())) == {text.encode()}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_earlier_run(tmp_path, write_rule(tmp_path, RULE))
    (tmp_path / "quarter.py").unlink()
    assert "there is no file" in reason(tmp_path) and "quarter.py" in reason(tmp_path)


def test_a_rule_with_steps_of_its_own_has_other_flops(tmp_path: Path) -> None:
    write_earlier_run(tmp_path, write_rule(tmp_path, STEPPING))
    assert reason(tmp_path) == "FLOPs now include what Quarter.after_step of quarter.py computes"


def test_a_mirror_of_ones_own_has_other_flops(tmp_path: Path) -> None:
    write_earlier_run(tmp_path, write_rule(tmp_path, RULE.replace("FeedbackAlignment", "WeightMirror")))
    assert reason(tmp_path) == "FLOPs now include what Quarter.after_step of quarter.py computes"


def test_modules_that_a_file_imports_were_not_in_earlier_keys(tmp_path: Path) -> None:
    text = RULE.replace("0.25", "SCALE").replace("from nowt", "from helpers import SCALE\nfrom nowt")
    write_earlier_run(tmp_path, write_rule(tmp_path, text, helpers="SCALE = 0.25\n"))
    assert "imports helpers.py, whose code earlier keys do not contain" in reason(tmp_path)


def test_two_rules_of_one_name_shared_a_key(tmp_path: Path) -> None:
    other = RULE[RULE.index("@dataclass") :].replace("class Quarter", "class Half")
    write_earlier_run(tmp_path, write_rule(tmp_path, f"{RULE}\n\n{other}", spec="quarter.py:Quarter"))
    assert "defines several rules of the name quarter" in reason(tmp_path)


@pytest.mark.parametrize("rule", ["bp", "kp"])
def test_a_custom_model_that_has_not_changed_is_upgraded(tmp_path: Path, rule: str) -> None:
    write_earlier_run(tmp_path, write_model(tmp_path, NET, rule))
    assert len(planned(tmp_path).upgraded) == 1


def test_layers_whose_weight_a_function_uses_are_named(tmp_path: Path) -> None:
    text = NET.replace(
        "torch.relu(self.b(torch.relu(self.a(x.flatten(1)))))",
        "torch.relu(nn.functional.linear(torch.relu(self.a(x.flatten(1))), self.b.weight))",
    )
    write_earlier_run(tmp_path, write_model(tmp_path, text))
    assert "net.py has layers that the forward pass does not call" in reason(tmp_path)


def test_tied_layers_are_named(tmp_path: Path) -> None:
    text = NET.replace(
        "self.c = ", "self.d = nn.Linear(16, 16)\n        self.d.weight = self.b.weight\n        self.c = "
    )
    text = text.replace("self.b(torch", "self.d(self.b(torch").replace("flatten(1))))))", "flatten(1)))))))")
    write_earlier_run(tmp_path, write_model(tmp_path, text))
    assert "has layers that share one weight" in reason(tmp_path)


def test_sequences_are_named_unless_the_rule_is_backprop(tmp_path: Path) -> None:
    text = NET.replace(
        "self.b(torch.relu(self.a(x.flatten(1))))", "self.b(torch.relu(self.a(x.flatten(1)))[:, None])[:, 0]"
    )
    write_earlier_run(tmp_path / "kp", write_model(tmp_path / "kp", text))
    assert "applies linear layers to sequences, whose rounding has changed" in reason(tmp_path / "kp")
    write_earlier_run(tmp_path / "bp", write_model(tmp_path / "bp", text, "bp"))
    assert len(planned(tmp_path / "bp").upgraded) == 1


def test_checkpointed_batch_norm_is_named(tmp_path: Path) -> None:
    text = NET.replace("self.b = nn.Linear(16, 16)", "self.b = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16))")
    text = text.replace("self.b(", "torch.utils.checkpoint.checkpoint(self.b, ").replace(
        "self.a(x.flatten(1)))", "self.a(x.flatten(1))), use_reentrant=False"
    )
    text = text.replace("import torch\n", "import torch\nimport torch.utils.checkpoint\n")
    write_earlier_run(tmp_path, write_model(tmp_path, text))
    assert "updates running statistics in the backward pass" in reason(tmp_path)


def test_a_model_that_can_no_longer_be_built_is_named(tmp_path: Path) -> None:
    config = write_model(tmp_path, NET)
    write_earlier_run(tmp_path, config, identify(config.data, Placement()))
    (tmp_path / "net.py").unlink()
    assert "there is no file" in reason(tmp_path)
