"""The certificate: it holds for every rule, and for each promise a rule broken in one line breaks that one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch

from nowt.config.run_config import OptimConfig
from nowt.config.run_key import certificate_name
from nowt.evaluation.certify.certificate import Certificate
from nowt.evaluation.certify.dead_fields import others
from nowt.evaluation.certify.kolen_pollack import shrink
from nowt.evaluation.certify.reach import ancestors
from nowt.evaluation.certify.run import certificate_path, certify, certify_command, certify_into
from nowt.rules.base import FeedbackLayer, Moment, Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.registry import builtin_rules, find_rule
from nowt.rules.weight_mirror import WeightMirror
from tests.support.broken_rules import BROKEN

EVERYWHERE = {
    "gradients",
    "first layer",
    "ancestors",
    "locality",
    "own update",
    "untouched",
    "same seed",
    "delta",
    "fields",
}

PROMISES = {
    "bp": {"locality"},
    "fa": EVERYWHERE | {"start angle", "other seed"},
    "ss": EVERYWHERE | {"start angle", "other seed", "signs"},
    "wm": EVERYWHERE | {"start angle", "other seed", "mirror gain", "mirror angle"},
    "kp": EVERYWHERE | {"start angle", "other seed", "decay", "no decay", "clipping", "forms"},
    "sham": EVERYWHERE | {"start angle"},
}

IDEALISED = {"noise": "idealised", "extent": 0, "interval": 3, "warmup": 3}

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("fa", {"angle": 30.0, "scale": 2.0}),
    ("fa", {"last_layer": "backprop", "shortcuts": "backprop"}),
    ("ss", {"magnitudes": "constant"}),
    ("ss", {"magnitudes": "redrawn", "scale": 0.5}),
    ("wm", {"noise": "uniform", "normalize": "positions", "sigma": 0.5, "receiver_noise": 0.3, "warmup": 3}),
    ("wm", {"noise": "sign", "samples": 1, "extent": 2, "start": "uniform"}),
    ("wm", IDEALISED),
    ("wm", {"through": "nonlinearity", "normalize": "none", "eta": 1e-5, "interval": 0, "warmup": 3}),
    ("wm", {"decay": 0.0, "warmup": 2, "interval": 1, "last_layer": "backprop"}),
    ("kp", {"start": "normal", "angle": 0.0}),
    ("kp", {"shortcuts": "backprop", "scale": 0.1}),
]


def rule_of(name: str, **fields: Any) -> Rule:
    return find_rule(name)(**fields)


def failing(certificate: Certificate) -> set[str]:
    return {check.name for check in certificate.checks if not check.passed}


@cache
def certificate_of(rule: Rule) -> Certificate:
    """Made once, though several tests read it."""
    return certify(rule)


def measured(certificate: Certificate, name: str) -> str:
    return next(check.measured for check in certificate.checks if check.name == name)


@pytest.mark.parametrize("rule", builtin_rules(), ids=lambda rule: rule.name)
def test_every_rule_keeps_every_promise_that_is_made_of_it(rule: type[Rule]) -> None:
    certificate = certificate_of(rule())
    assert failing(certificate) == set(), certificate.table()
    assert {check.name for check in certificate.checks} == PROMISES[rule.name]


@pytest.mark.parametrize(("name", "fields"), VARIANTS, ids=lambda value: str(value))
def test_so_do_their_variants(name: str, fields: dict[str, Any]) -> None:
    certificate = certificate_of(rule_of(name, **fields))
    assert failing(certificate) == set(), certificate.table()
    assert fields.items() <= certificate.fields.items()


@pytest.mark.parametrize("rule", BROKEN, ids=lambda rule: rule.__name__)
def test_a_rule_broken_in_one_line_breaks_that_promise_and_no_other(rule: type[Rule]) -> None:
    short = {"warmup": 3} if issubclass(rule, WeightMirror) else {}
    certificate = certificate_of(rule(**short))
    assert failing(certificate) == BROKEN[rule], certificate.table()
    assert not certificate.passed


def test_every_promise_has_a_rule_that_breaks_it_alone() -> None:
    promises = set().union(*PROMISES.values())
    assert {next(iter(names)) for names in BROKEN.values() if len(names) == 1} == promises


def test_transport_on_purpose_is_said_plainly() -> None:
    for name in ("bp", "sham"):
        certificate = certificate_of(find_rule(name)())
        assert measured(certificate, "locality").startswith("reads W in full: labelled transport")
        assert certificate.verdict == "transports weights on purpose: a reference, not a local rule"


def test_orthonormal_probes_are_labelled() -> None:
    certificate = certificate_of(rule_of("wm", **IDEALISED))
    (row,) = (check for check in certificate.checks if check.name == "locality")
    assert row.note == "steps watched: 1 to 30, 2520 and 2521; labelled: orthonormal probes read W out exactly"


def test_what_is_transported_besides_is_listed() -> None:
    besides = "\n".join(certificate_of(rule_of("fa", last_layer="backprop", shortcuts="backprop")).besides)
    for word in ("batch norm", "clipping", "shared kernels", "Wᵀ in block2.downsample.0, fc,", "the start: "):
        assert word in besides


def test_the_culprit_is_named_with_layer_operation_and_phase(tmp_path: Path) -> None:
    by_name = {rule.__name__: rule for rule in BROKEN}
    for name, phase in [
        ("CopiesInForward", "forward pass"),
        ("CopiesInBackward", "backward pass"),
        ("CopiesInOptimiser", "optimiser"),
        ("UnlabelledSham", "after the step"),
    ]:
        line = measured(certificate_of(by_name[name]()), "locality")
        assert f"elsewhere: copy_ in the phase '{phase}'" in line
        assert "block2.downsample.0" in line
    assert measured(certificate_of(by_name["UnusedField"]()), "fields") == "without effect: patience (nothing reads it)"


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certify_command([find_rule("bp")()], tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("bp: 1 of 1 promises hold. Transports weights on purpose: a reference, not a local rule.")
    data = json.loads((tmp_path / "out" / "certificate-bp.json").read_text())
    assert (data["rule"], data["passed"], data["checks"][0]["name"]) == ("bp", True, "locality")
    assert data["versions"]["torch"] == torch.__version__


OWN = '''
from dataclasses import dataclass
from typing import ClassVar

from nowt.rules.feedback import DrawnFeedback


@dataclass(frozen=True)
class Mine(DrawnFeedback):
    """Feedback alignment with a field that does nothing."""

    name: ClassVar[str] = "mine"
    hope: float = 1.0
'''


def test_a_rule_from_a_file_is_certified_like_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    assert certify_command([find_rule(str(path))()], None) == 1
    printed = capsys.readouterr().out
    assert printed.startswith(
        f"{path}: 10 of 11 promises hold. FAILED. No verdict on what it transports, since a promise is broken."
    )
    assert "without effect: hope" in printed


DIRECT = '''
from dataclasses import dataclass
from typing import ClassVar

import torch
from nowt import Rule


class Broadcast(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x)
        return y.clone()

    @staticmethod
    def backward(ctx, error):
        return torch.zeros_like(ctx.saved_tensors[0]), error


@dataclass(frozen=True)
class Direct(Rule):
    """A way back of its own, which sends nothing to the layers below."""

    name: ClassVar[str] = "direct"

    def propagate(self, layer, x):
        return Broadcast.apply(x, layer.forward_map(x.detach(), layer.weight.detach() * 0))
'''


def test_a_way_back_of_its_own_is_not_held_to_promises_about_b(tmp_path: Path) -> None:
    path = tmp_path / "direct.py"
    path.write_text(DIRECT)
    certificate = certificate_of(find_rule(str(path))())
    left_out = {left.name: left.why for left in certificate.left_out}
    assert left_out["gradients"] == left_out["delta"] == "the rule has a way back of its own (propagate)"
    assert failing(certificate) == {"locality"}  # it multiplies W by 0 to get a matrix of W's shape


def test_a_store_keeps_one_certificate_for_each_setting_of_the_fields(tmp_path: Path) -> None:
    assert certificate_name(find_rule("kp")()) == "certificate-kp.json"
    assert certificate_name(rule_of("kp", scale=2.0)) != certificate_name(rule_of("kp", scale=3.0))
    certify_into(tmp_path, find_rule("bp")())
    assert certificate_path(tmp_path, find_rule("bp")()) == tmp_path / "certificates" / "certificate-bp.json"
    assert list((tmp_path / "certificates").iterdir()) == [certificate_path(tmp_path, find_rule("bp")())]


def test_a_certificate_leaves_torch_as_it_was() -> None:
    torch.manual_seed(4)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    certify(find_rule("fa")())
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_the_law_of_decay_is_that_of_the_equations() -> None:
    sgd = OptimConfig(lr=0.1, momentum=0.0, weight_decay=1e-4, schedule="constant")
    assert shrink(sgd, 100) == pytest.approx((1 - 1e-5) ** 100)
    momentum = OptimConfig(lr=0.1, momentum=0.9, weight_decay=1e-4, schedule="constant")
    assert shrink(momentum, 5005) / shrink(momentum, 5004) == pytest.approx(0.99989991, abs=1e-8)
    assert shrink(momentum, 5005) == pytest.approx(0.6059, abs=1e-3)  # an ImageNet epoch at batch 256
    # one step of Nesterov from rest: v = λD, so D goes to (1 − ηλ(1 + μ)) D
    nesterov = OptimConfig(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.5, schedule="constant")
    assert shrink(nesterov, 1) == pytest.approx(1 - 0.05 * 1.9)


def test_the_ancestors_of_a_layer_are_those_of_the_graph() -> None:
    assert ancestors("conv1") == set()
    assert ancestors("block2.downsample.0") == {"conv1", "block1.conv1", "block1.conv2"}
    assert ancestors("block2.conv2") == {"conv1", "block1.conv1", "block1.conv2", "block2.conv1"}


def test_other_values_of_a_field_follow_from_its_type() -> None:
    assert others(Literal["a", "b", "c"], "b") == ["a", "c"]
    assert others(bool, True) == [False]
    assert 2.0 in others(float, 1.0) and 1.0 not in others(float, 1.0)
    assert others(float | None, 30.0)[0] is None
    assert (1,) not in others(tuple[int, ...], ()) and (2,) in others(tuple[int, ...], ())
    assert others(str, "anything") == []


@dataclass(frozen=True)
class NowAndThen(FeedbackAlignment):
    name: ClassVar[str] = "now and then"

    def after_step(self, layers: Sequence[FeedbackLayer], moment: Moment) -> int:
        if moment.step % 11 == 5:
            layers[0].feedback.copy_(layers[0].weight.detach())
        return 0


def test_a_rule_that_copies_w_only_now_and_then_is_caught_too() -> None:
    certificate = certify(NowAndThen())
    assert "locality" in {check.name for check in certificate.checks if not check.passed}
    assert certificate.verdict == "reads W where it promises not to"
