"""Custom rules: a rule in a file works like a built-in one, and a file without a usable rule is rejected."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nowt.config.run_config import RunConfig, config_from_json, config_to_json
from nowt.config.run_key import run_key
from nowt.core.errors import ConfigError
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.moment import Moment
from nowt.rules.registry import find_rule
from tests.support.nets import attached, batch, conv_net, train_step

PAL = '''
"""Phaseless alignment in a few lines: the activity of each layer drives its B."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from nowt import FeedbackAlignment, MirrorNoise


@dataclass(frozen=True)
class Pal(FeedbackAlignment):
    """In each step, B moves towards the correlation of noise with the layer's response to it."""

    name: ClassVar[str] = "pal"
    signals: ClassVar[tuple[str, ...]] = ("mirror",)

    eta: float = 0.1
    kind: Literal["normal", "sign"] = "normal"
    sizes: tuple[int, ...] = ()

    def mirror_noise(self):
        return MirrorNoise(samples=50, extent=4, interval=1)

    def observe_mirror(self, layer, samples):
        layer.feedback.lerp_(samples.mean(samples.product) / samples.terms, self.eta)
'''


@pytest.fixture
def pal(tmp_path: Path) -> Path:
    """The file of a custom rule."""
    path = tmp_path / "pal.py"
    path.write_text(PAL)
    return path


def config_error(spec: str) -> str:
    with pytest.raises(ConfigError) as caught:
        find_rule(spec)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_a_custom_rule_is_found_by_file_and_by_file_and_class(pal: Path) -> None:
    rule = find_rule(str(pal))
    assert (rule.name, rule.source, rule.__name__) == ("pal", str(pal), "Pal")
    assert find_rule(f"{pal}:Pal") is rule


def test_a_custom_rule_is_found_by_a_path_relative_to_the_working_directory(
    pal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pal.parent)
    assert find_rule("./pal.py") is find_rule("pal.py") is find_rule(str(pal))


def test_a_custom_rule_trains_like_a_built_in_rule(pal: Path) -> None:
    rule = find_rule(str(pal))(eta=0.5, scale=0.5)  # type: ignore[call-arg]
    model, layers = attached(conv_net(norm=False), rule)
    assert all(
        torch.equal(2 * a.feedback, b.feedback)
        for a, b in zip(layers, attached(conv_net(norm=False), find_rule("fa")())[1], strict=True)
    )
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05)
    losses = [train_step(model, layers, optimizer, *batch(), step) for step in range(1, 21)]
    assert losses[-1] < losses[0]
    for layer in layers:
        assert torch.nn.functional.cosine_similarity(layer.feedback.flatten(), layer.weight.flatten(), 0) > 0.9
    assert pickle.loads(pickle.dumps(layers[0])).rule == rule
    assert RuleSteps(rule, layers).after_step(Moment(1, seed=0)) == 50


def test_a_config_with_a_custom_rule_is_restored_from_json(pal: Path) -> None:
    config = RunConfig(rule=find_rule(str(pal))(eta=0.3, kind="sign", sizes=(1, 2), angle=20.0), seed=3)  # type: ignore[call-arg]
    data = json.loads(json.dumps(config_to_json(config)))
    assert data["rule"]["name"] == str(pal)
    again = config_from_json(data)
    assert again == config
    assert run_key(again, "pixels") == run_key(config, "pixels")


def test_a_custom_rule_may_use_postponed_annotations(pal: Path) -> None:
    text = PAL.replace('Literal["normal", "sign"]', "Kind").replace(
        "\n\n\n@", '\n\nKind = Literal["normal", "sign"]\n\n\n@'
    )
    pal.write_text(text.replace("\nfrom", "\nfrom __future__ import annotations\n\nfrom", 1))
    rule = find_rule(str(pal))
    config = RunConfig(rule=rule(kind="sign", sizes=(1, 2)))  # type: ignore[call-arg]
    assert config_from_json(json.loads(json.dumps(config_to_json(config)))) == config


def test_editing_the_file_of_a_rule_changes_the_run_key(pal: Path) -> None:
    def key() -> str:
        return run_key(RunConfig(rule=find_rule(str(pal))()), "pixels")

    first = key()
    assert key() == first
    pal.write_text(PAL.replace("samples.terms, self.eta)", "samples.terms, 2 * self.eta)"))
    assert key() != first
    pal.write_text(PAL)
    assert key() == first


def test_moving_the_file_of_a_rule_does_not_change_the_run_key(pal: Path) -> None:
    other = pal.parent / "elsewhere"
    other.mkdir()
    (other / "pal.py").write_text(PAL)
    keys = {run_key(RunConfig(rule=find_rule(str(p))()), "pixels") for p in (pal, other / "pal.py")}
    assert len(keys) == 1


def test_the_fields_of_a_custom_rule_are_checked(pal: Path) -> None:
    data = config_to_json(RunConfig(rule=find_rule(str(pal))()))
    for name, value, message in [
        ("etta", 1, "there is no setting rule.etta (did you mean eta?); there are: "),
        ("eta", "much", "rule.eta is 'much': input should be a valid number"),
        ("kind", "cauchy", "rule.kind is 'cauchy': input should be 'normal' or 'sign'"),
    ]:
        with pytest.raises(ConfigError) as caught:
            config_from_json({**data, "rule": {**data["rule"], name: value}})
        assert str(caught.value).startswith(message)


NOT_ONE_RULE = "must define one rule, a subclass of nowt.Rule; found: {} (FILE.py:CLASS names one)"

HEAD = "from dataclasses import dataclass\nfrom nowt import Rule\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def (:\n", "{path} cannot be imported: SyntaxError: "),
        (
            "import nonsense_of_mine\n",
            "{path} cannot be imported: ModuleNotFoundError: No module named 'nonsense_of_mine'",
        ),
        (
            "from nowt.rules.fa import FeedbackAlignment\n",
            "{path} cannot be imported: ModuleNotFoundError: No module named 'nowt.rules.fa'; import ",
        ),
        ("1 / 0\n", "{path} cannot be imported: ZeroDivisionError: division by zero"),
        (
            "x = 1\n",
            "{path} " + NOT_ONE_RULE.format("none"),
        ),
        (
            HEAD,
            "{path} " + NOT_ONE_RULE.format("none"),
        ),
        (
            HEAD + "class A(Rule):\n    name = 'a'\nclass B(Rule):\n    name = 'b'\n",
            "{path} " + NOT_ONE_RULE.format("A, B"),
        ),
        (
            HEAD + "@dataclass(frozen=True)\nclass A(Rule):\n    eta: float = 0.1\n",
            "{path}: A needs a class variable `name`",
        ),
        (
            HEAD + "class A(Rule):\n    name = 'a'\n    eta: float = 0.1\n",
            "{path}: A needs @dataclass(frozen=True)",
        ),
        (
            HEAD + "class A(Rule):\n    eta: float = 0.1\n",
            "{path}: A needs a class variable `name` and @dataclass(frozen=True)",
        ),
        (
            HEAD + "@dataclass(frozen=True)\nclass A(Rule):\n    name = 'fa'\n",
            "{path}: name = 'fa' is the name of a built-in rule: give the rule another name",
        ),
        (
            HEAD + "@dataclass\nclass A(Rule):\n    eta: float = 0.1\n",
            "{path} cannot be imported: TypeError: cannot inherit non-frozen dataclass from a frozen one",
        ),
    ],
)
def test_a_file_without_exactly_one_valid_rule_is_rejected_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text)
    assert config_error(str(path)).startswith(message.format(path=path))


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("Rigth", "no rule 'Rigth' (did you mean Right?); subclasses of nowt.Rule in it: Right, Other"),
        ("x", "no rule 'x'; subclasses of nowt.Rule in it: Right, Other"),
        ("Rule", "no rule 'Rule'; subclasses of nowt.Rule in it: Right, Other"),
    ],
)
def test_a_name_that_is_no_rule_of_the_file_is_rejected_with_the_nearest_one(
    tmp_path: Path, name: str, rest: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(HEAD + "x = 1\nclass Right(Rule):\n    name = 'a'\nclass Other(Rule):\n    name = 'b'\n")
    assert config_error(f"{path}:{name}") == f"{path} defines {rest}"


def test_a_rule_that_inherits_its_name_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        HEAD
        + "from nowt import FeedbackAlignment\n@dataclass(frozen=True)\n"
        + "class A(FeedbackAlignment):\n    x: int = 1\n"
    )
    assert config_error(str(path)) == f"{path}: A needs a class variable `name`"


def test_one_of_several_rules_in_a_file_is_selected_by_class_name(pal: Path) -> None:
    pal.write_text(PAL + '\n\n@dataclass(frozen=True)\nclass Pal2(Pal):\n    name: ClassVar[str] = "pal2"\n')
    assert "found: Pal, Pal2" in config_error(str(pal))
    rule = find_rule(f"{pal}:Pal2")
    assert rule.name == "pal2"
    config = RunConfig(rule=replace(rule(), eta=0.2))  # type: ignore[call-arg]
    assert config_from_json(config_to_json(config)) == config


@pytest.mark.parametrize("method", ["before_step(self, layers, optimizer)", "after_step(self, layers)"])
def test_a_rule_of_the_earlier_interface_is_refused_before_anything_runs(tmp_path: Path, method: str) -> None:
    path = tmp_path / "mine.py"
    body = f"@dataclass(frozen=True)\nclass A(Rule):\n    name = 'a'\n    def {method}: pass\n"
    path.write_text(HEAD + body)
    assert config_error(str(path)).endswith("; see docs/adding-a-rule.md") or "earlier interface" in config_error(
        str(path)
    )


def test_a_missing_file_and_an_unknown_rule_name_are_rejected() -> None:
    assert config_error("mylab/pal.py").startswith("there is no file mylab/pal.py (looked in ")
    assert config_error("kpp") == (
        "there is no rule 'kpp' (did you mean kp?); there are: bp, fa, ss, wm, kp, dfa, dkp, ia, sham, "
        "or your own FILE.py"
    )
