"""The file name of a certificate depends on the rule, its settings, its code, and the versions of nowt and torch."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from nowt.config import certificate_key
from nowt.config.certificate_key import certificate_name, rule_code
from nowt.evaluation.certify import run
from nowt.rules.base import Rule
from nowt.rules.registry import builtin_rules, find_rule
from tests.core.test_source_hash import written
from tests.support.certificates import rule_of

NOT_OF_RULES = {
    f"nowt.evaluation.certify.{name}"
    for name in ("__init__", "training_step", "step_tensors", "step_result", "step_command")
}

RULE = """
from dataclasses import dataclass
from typing import ClassVar

from nowt import KolenPollack


@dataclass(frozen=True)
class Mine(KolenPollack):
    name: ClassVar[str] = "mine"
"""


def kp() -> str:
    return certificate_name(find_rule("kp")())


def test_rules_and_settings_have_certificates_of_their_own() -> None:
    names = {kp(), certificate_name(rule_of("kp", scale=2.0)), certificate_name(find_rule("fa")())}
    assert len(names) == 3
    assert all(name.startswith("certificate-") and name.endswith(".json") for name in names)
    assert kp() == kp()


@pytest.mark.parametrize("package", ["nowt", "torch"])
def test_another_version_of_nowt_or_torch_gives_another_certificate(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kp()
    versions = {**certificate_key.certifying_versions(), package: "99.0"}
    monkeypatch.setattr(certificate_key, "certifying_versions", lambda: versions)
    assert kp() != before


def test_an_edit_of_a_built_in_rule_or_of_one_it_derives_from_gives_another_certificate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, digest = kp(), certificate_key.module_digest
    assert {"nowt.rules.kolen_pollack", "nowt.rules.feedback", "nowt.rules.base"} <= set(rule_code(find_rule("kp")))
    for edited in ("nowt.rules.kolen_pollack", "nowt.rules.feedback"):
        monkeypatch.setattr(certificate_key, "module_digest", lambda name, e=edited: digest(name) + "*" * (name == e))
        assert kp() != before


@pytest.mark.parametrize("rule", builtin_rules(), ids=lambda rule: rule.name)
def test_the_code_of_a_rule_covers_all_modules_of_rules_that_it_imports(rule: type[Rule]) -> None:
    def imported(module: str) -> set[str]:
        tree = ast.parse(inspect.getsource(importlib.import_module(module)))
        return {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    code = set(rule_code(rule))
    for module in code:
        assert {name for name in imported(module) if name.startswith("nowt.rules.")} <= code


def test_an_edit_of_a_module_that_no_part_of_the_certificate_imports_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fa, before, digest = certificate_name(find_rule("fa")()), kp(), certificate_key.module_digest
    edited = "nowt.rules.kolen_pollack"
    monkeypatch.setattr(certificate_key, "module_digest", lambda name: digest(name) + "*" * (name == edited))
    assert certificate_name(find_rule("fa")()) == fa and kp() != before


@pytest.mark.parametrize(
    "edited",
    [
        "nowt.layers.mirror_mode",
        "nowt.layers.propagation",
        "nowt.layers.rule_steps",
        "nowt.layers.views",
        "nowt.layers.conv",
        "nowt.rules.mirror_control",
        "nowt.rules.layer_view",
        "nowt.evaluation.certify.run",
        "nowt.evaluation.certify.null_space",
        "nowt.models.initialization",
        "nowt.training.optimizer",
        "nowt.core.seeding",
    ],
)
@pytest.mark.parametrize("custom", [False, True])
def test_an_edit_of_what_a_rule_runs_on_or_is_measured_by_gives_another_certificate(
    edited: str, custom: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = find_rule(str(written(tmp_path, {"mine.py": RULE})) if custom else "kp")()
    before, digest = certificate_name(rule), certificate_key.module_digest
    monkeypatch.setattr(certificate_key, "module_digest", lambda name: digest(name) + "*" * (name == edited))
    assert certificate_name(rule) != before


def test_every_check_of_a_certificate_is_part_of_its_code() -> None:
    folder = Path(inspect.getfile(run)).parent
    checks = {f"nowt.evaluation.certify.{file.stem}" for file in folder.glob("*.py")} - NOT_OF_RULES
    assert checks <= set(rule_code(find_rule("fa")))


def test_an_edit_of_a_custom_rule_gives_another_certificate_but_a_comment_does_not(tmp_path: Path) -> None:
    def name(text: str) -> str:
        return certificate_name(find_rule(str(written(tmp_path, {"mine.py": text})))())

    before = name(RULE)
    assert name(f"# a comment\n{RULE}") == before
    assert name(f"{RULE}    size: int = 3\n") != before
