"""Every built-in rule passes its certificate, and a rule that breaks one promise in one line fails that check."""

import gc
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from nowt.config.certificate_key import certificate_name
from nowt.config.published_recipes import mnist_mlp_authors
from nowt.core.errors import ConfigError
from nowt.evaluation.certify.certificate import Certificate
from nowt.evaluation.certify.run import certificate_path, certify, certify_command, certify_into
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView
from nowt.rules.registry import builtin_rules, find_rule
from nowt.rules.weight_mirror import WeightMirror
from tests.support.broken_rules import BROKEN, CHANGE_THE_PATH
from tests.support.certificates import (
    certificate_of,
    certificate_without_shapes_of,
    failed_checks,
    measured,
    rule_of,
)
from tests.support.stolen_layers import stolen_layer

COMMON = {
    "null space",
    "poisoning",
    "outer product",
    "gradients",
    "first layer",
    "ancestors",
    "locality",
    "own update",
    "untouched",
    "same seed",
    "delta",
    "sent error",
    "resumed",
    "measuring",
    "two workers",
    "fields",
}

# their B is not of W's shape
DIRECT = (COMMON | {"independent error", "other seed"}) - {"gradients", "first layer", "ancestors", "delta"}

CHECKS = {
    "bp": {"locality"},
    "fa": COMMON | {"independent error", "start angle", "other seed"},
    "ss": COMMON | {"start angle", "other seed", "signs", "signs only"},
    "wm": COMMON | {"independent error", "start angle", "other seed", "mirror gain", "mirror angle"},
    "kp": COMMON | {"independent error", "start angle", "other seed", "decay", "no decay", "clipping", "forms"},
    "dfa": DIRECT,
    "dkp": DIRECT,
    "ia": COMMON | {"independent error", "start angle", "other seed"},
    "sham": COMMON | {"start angle"},
}

IDEALIZED = {"noise": "idealised", "extent": 0, "interval": 3, "warmup": 3}

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("fa", {"angle": 30.0, "scale": 2.0}),
    ("fa", {"last_layer": "backprop", "shortcuts": "backprop"}),
    ("ss", {"magnitudes": "constant"}),
    ("ss", {"magnitudes": "redrawn", "scale": 0.5}),
    ("wm", {"noise": "uniform", "normalize": "positions", "sigma": 0.5, "receiver_noise": 0.3, "warmup": 3}),
    ("wm", {"noise": "sign", "samples": 1, "extent": 2, "start": "uniform"}),
    ("wm", IDEALIZED),
    ("wm", {"through": "nonlinearity", "normalize": "none", "eta": 1e-5, "interval": 0, "warmup": 3}),
    ("wm", {**vars(mnist_mlp_authors("wm").rule), "warmup": 3}),
    ("wm", {"decay": 0.0, "warmup": 2, "interval": 1, "last_layer": "backprop"}),
    ("wm", {"target_angle": 20.0}),
    ("wm", {"burst": 2, "interval": 0, "warmup": 3}),
    ("kp", {"start": "normal", "angle": 0.0}),
    ("kp", {"shortcuts": "backprop", "scale": 0.1}),
    ("dfa", {"last_layer": "backprop", "shortcuts": "backprop", "start": "uniform"}),
    ("dkp", {"momentum": 0.0, "feedback_rate": 0.1}),
    ("ia", {"center": False, "null": 0.0}),
]


@pytest.fixture(scope="module", autouse=True)
def _fast_garbage_collection() -> Iterator[None]:
    """Exempt the imported libraries from garbage collection: the tracer collects at each step with a copy of W."""
    certificate_of(find_rule("bp")())  # imports what a first step needs
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("rule", builtin_rules(), ids=lambda rule: rule.name)
def test_every_built_in_rule_passes_all_its_checks(rule: type[Rule]) -> None:
    certificate = certificate_of(rule())
    assert failed_checks(certificate) == set(), certificate.table()
    assert {check.name for check in certificate.checks} == CHECKS[rule.name]


@pytest.mark.parametrize(("name", "fields"), SETTINGS, ids=lambda value: str(value))
def test_built_in_rules_pass_with_other_settings(name: str, fields: dict[str, Any]) -> None:
    certificate = certificate_of(rule_of(name, **fields))
    assert failed_checks(certificate) == set(), certificate.table()
    assert fields.items() <= certificate.fields.items()


def certificate_of_broken(rule: type[Rule]) -> Certificate:
    short = {"warmup": 3} if issubclass(rule, WeightMirror) else {}
    certify_once = certificate_of if rule in CHANGE_THE_PATH else certificate_without_shapes_of
    return certify_once(rule(**short))


@pytest.mark.parametrize("rule", BROKEN, ids=lambda rule: rule.__name__)
def test_a_rule_that_breaks_one_promise_fails_that_check_only(rule: type[Rule]) -> None:
    certificate = certificate_of_broken(rule)
    assert failed_checks(certificate) == BROKEN[rule], certificate.table()
    assert not certificate.passed


def test_every_check_is_failed_alone_by_some_broken_rule() -> None:
    checks = set().union(*CHECKS.values())
    # nowt copies signs itself, and draws the initial B; who knows the error has read W
    checks -= {"signs", "signs only", "start angle", "independent error"}
    assert {next(iter(names)) for names in BROKEN.values() if len(names) == 1} == checks


def test_signs_that_do_not_follow_w_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nowt.layers.rule_steps.copy_signs", lambda layer: None)
    assert "signs" in failed_checks(certify(rule_of("ss")))


@pytest.mark.parametrize("settings", [{}, {"target_angle": 20.0}], ids=str)
def test_a_field_that_needs_another_one_is_tested_beside_it(settings: dict[str, Any]) -> None:
    rule = rule_of("wm", **settings)
    (check,) = (check for check in certificate_of(rule).checks if check.name == "fields")
    assert check.note == "" and check.measured == f"{len(fields(rule))} have one"


def test_declared_weight_transport_is_stated_in_the_verdict() -> None:
    for name in ("bp", "sham"):
        certificate = certificate_of(find_rule(name)())
        assert measured(certificate, "locality").startswith("reads all of W: declared transport")
        assert certificate.verdict == "transports weights on purpose: a reference, not a local rule"


def test_orthonormal_probes_are_declared_in_the_certificate() -> None:
    certificate = certificate_of(rule_of("wm", **IDEALIZED))
    (check,) = (check for check in certificate.checks if check.name == "locality")
    assert check.note == "traced steps: 1 to 30, 2520 and 2521; declared: orthonormal probes read W exactly"
    assert certificate.verdict.startswith("no undeclared read of W, but its mirror noise reads W out")


def test_the_certificate_lists_what_is_transported_besides_weights() -> None:
    certificate = certificate_of(rule_of("fa", last_layer="backprop", shortcuts="backprop"))
    transported = "\n".join(certificate.also_transported)
    for words in ("batch norm", "clipping", "shared kernels", "Wᵀ in block2.downsample.0, fc,", "initialization: "):
        assert words in transported


@pytest.mark.parametrize(
    ("rule", "phase"),
    [
        ("CopiesInForward", "forward pass"),
        ("CopiesInBackward", "backward pass"),
        ("CopiesInOptimizer", "optimizer"),
        ("UndeclaredSham", "after the step"),
    ],
)
def test_an_undeclared_read_is_reported_with_layer_operation_and_phase(rule: str, phase: str) -> None:
    by_name = {rule.__name__: rule for rule in BROKEN}
    line = measured(certificate_of_broken(by_name[rule]), "locality")
    assert f"elsewhere: copy_ in the phase '{phase}'" in line
    assert "block2.downsample.0" in line


@dataclass(frozen=True)
class CopiesEveryElevenSteps(FeedbackAlignment):
    name: ClassVar[str] = "copies every eleven steps"

    def after_step(self, layer: LayerView, step: int) -> None:
        if step % 11 == 5 and layer.name == "conv1":
            layer.feedback.copy_(stolen_layer().weight.detach())


def test_a_rule_that_copies_weights_in_few_steps_is_detected() -> None:
    certificate = certify(CopiesEveryElevenSteps())
    assert "locality" in failed_checks(certificate)
    assert certificate.verdict == "reads W where it promises not to"


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certify_command([find_rule("bp")()], tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("bp: 1 of 1 promise holds. Transports weights on purpose: a reference, not a local rule.")
    data = json.loads((tmp_path / "out" / certificate_name(find_rule("bp")())).read_text())
    assert (data["rule"], data["passed"], data["checks"][0]["name"]) == ("bp", True, "locality")
    assert data["versions"]["torch"] == torch.__version__


def test_the_keys_of_the_json_stay(tmp_path: Path) -> None:
    data = certificate_of(find_rule("kp")()).to_json()
    keys = {"schema", "rule", "source", "numerics", "fields", "transports", "checks", "left_out", "reads", "besides"}
    keys |= {"starts_from_weight", "reads_out", "left_to_backprop", "grade"}
    assert set(data) == keys | {"code", "versions", "passed", "verdict"}
    assert set(data["checks"][0]) == {"name", "promise", "bound", "measured", "passed", "note"}
    assert set(data["left_out"][0]) == {"name", "why"}
    assert set(data["reads"][0]) == {"reader", "phase", "op", "count", "layers"}
    readers = {(reads["reader"], reads["phase"]) for reads in data["reads"]}
    assert readers == {("forward map", "forward pass"), ("optimizer", "optimizer")}


CUSTOM_RULE = '''
from dataclasses import dataclass
from typing import ClassVar

from nowt.rules.feedback import DrawnFeedback


@dataclass(frozen=True)
class Mine(DrawnFeedback):
    """Feedback alignment with a field that does nothing."""

    name: ClassVar[str] = "mine"
    hope: float = 1.0
'''


def test_a_custom_rule_from_a_file_is_certified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(CUSTOM_RULE)
    assert certify_command([find_rule(str(path))()], None) == 1
    printed = capsys.readouterr().out
    assert printed.startswith(
        f"{path}: 18 of 19 promises hold. FAILED: fields. No verdict on weight transport, because a promise is broken."
    )
    assert "without effect: hope" in printed


OWN_FEEDBACK_PATH = '''
from dataclasses import dataclass
from typing import ClassVar

import torch
from nowt import Rule


@dataclass(frozen=True)
class Direct(Rule):
    """A feedback path that sends a weighted mean of the error to all units below."""

    name: ClassVar[str] = "direct"
    signals: ClassVar[tuple[str, ...]] = ("error",)

    def send_back(self, layer, error, x, output_error):
        return torch.ones_like(x) * error.flatten(1).cumsum(1).mean(1).view(-1, *[1] * (x.dim() - 1))
'''


def test_checks_of_the_feedback_matrix_are_skipped_for_a_rule_without_one(tmp_path: Path) -> None:
    path = tmp_path / "direct.py"
    path.write_text(OWN_FEEDBACK_PATH)
    certificate = certificate_of(find_rule(str(path))())
    skipped = {check.name: check.why for check in certificate.left_out}
    assert skipped["gradients"] == skipped["delta"] == "the rule has its own feedback path (send_back)"
    assert not failed_checks(certificate)


def test_a_rule_that_sends_nothing_back_fails(tmp_path: Path) -> None:
    path = tmp_path / "nothing.py"
    path.write_text(OWN_FEEDBACK_PATH.replace("torch.ones_like(x) *", "torch.zeros_like(x) *"))
    assert failed_checks(certify(find_rule(str(path))())) == {"outer product", "sent error"}


def test_a_store_keeps_one_certificate_per_setting_of_a_rule(tmp_path: Path) -> None:
    certify_into(tmp_path, find_rule("bp")())
    certify_into(tmp_path, find_rule("bp")())
    assert list((tmp_path / "certificates").iterdir()) == [certificate_path(tmp_path, find_rule("bp")())]
    assert certificate_path(tmp_path, rule_of("kp", scale=2.0)) != certificate_path(tmp_path, rule_of("kp", scale=3.0))


def test_the_name_of_a_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^rule is 'kp': it must be a Rule, not a name: pass nowt\.KolenPollack"):
        certify("kp")  # type: ignore[arg-type]


def test_certifying_changes_neither_random_state_nor_threads() -> None:
    torch.manual_seed(4)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    certify(find_rule("fa")())
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
