"""Audited steps find rules that behave on the networks of a certificate, blame no honest rule and change no number."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nowt.config.placement import Placement
from nowt.config.run_config import ModelConfig, OptimConfig, RunConfig
from nowt.core.distributed import SINGLE_WORKER, ProcessGroup
from nowt.core.errors import ConfigError
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.sham import Sham
from nowt.store.audits import Audit, audits_in_words, chance_to_miss
from nowt.training import checkpoint
from nowt.training.audit import TransportDetected
from nowt.training.audit_plan import draw_plan
from nowt.training.loop import TrainingInterrupted, train
from tests.support.cheats_in_runs import (
    CopiesWhileScored,
    DrawsWAgain,
    HidesBehindInfinity,
    HidesInNoise,
    InflatesAGradient,
    LargeOnly,
    LateSteps,
    MirrorReadsEarly,
    MirrorReadsW,
    OutsideCertificates,
    PreparesFromW,
    PullsToW,
    RemembersEachStep,
    SendsThroughW,
    SpoilsGradients,
)
from tests.support.honest_rules import HalfRate, Hebbian, OwnStep
from tests.support.short_runs import CASES, CPU, MIRROR, STEPS, after, assert_equal, numbers, short_run, tensors
from tests.support.worker_processes import on_workers, shared_run

DENSE = ModelConfig("mlp", hidden=(80,))

ALL = replace(CPU, audit=2 * STEPS)


def with_rule(rule: Rule, **changes: Any) -> RunConfig:
    return replace(short_run("fa"), rule=rule, **changes)


def audited(config: RunConfig, steps: int = 2 * STEPS, **options: Any) -> list[Audit]:
    """Train the run and return its audits."""
    found: list[Audit] = []
    list(train(config, replace(CPU, audit=steps), on_audit=found.append, **options))
    return found


def detected(config: RunConfig, **options: Any) -> str:
    """Return the line with which the run ends."""
    with pytest.raises(TransportDetected) as caught:
        list(train(config, ALL, **options))
    return str(caught.value)


@pytest.mark.parametrize("model", [ModelConfig(), DENSE], ids=["convolutions", "dense"])
@pytest.mark.parametrize(
    ("rule", "when"),
    [
        (LargeOnly(), "at step 1"),
        (OutsideCertificates(), "at step 1"),
        (LateSteps(), "at step 4"),
        (PullsToW(), "at step 1"),
        (SendsThroughW(), "before the first step"),
    ],
    ids=lambda value: value.name if isinstance(value, Rule) else "",
)
def test_a_rule_that_reads_w_in_real_runs_only_is_found(rule: Rule, when: str, model: ModelConfig) -> None:
    line = detected(with_rule(rule, model=model))
    assert line.startswith(f"transport detected {when} under rule {rule.name}: ")
    assert ("layer " in line or "gradient of " in line) and "\n" not in line


@pytest.mark.parametrize(
    "rule", [HidesInNoise(), HidesBehindInfinity(), SpoilsGradients(), InflatesAGradient()], ids=lambda rule: rule.name
)
def test_a_read_that_large_numbers_hide_is_found(rule: Rule) -> None:
    assert detected(with_rule(rule)).startswith("transport detected at step 1")


def test_copies_that_a_rule_keeps_on_a_tensor_are_refused_whatever_their_name() -> None:
    with pytest.raises(ConfigError, match=r"attribute '_kept' of 'feedback' of layer .* was set during training"):
        list(train(with_rule(RemembersEachStep()), CPU))


def test_a_rule_that_changes_b_while_images_are_scored_is_refused() -> None:
    with pytest.raises(ConfigError, match="scoring images changed 'feedback' of layer"):
        list(train(with_rule(CopiesWhileScored()), CPU))


def test_a_read_while_layers_are_prepared_is_found_before_the_first_step() -> None:
    line = detected(with_rule(PreparesFromW()))
    assert line.startswith("transport detected before the first step under rule prepares from W: hint of layer ")


def test_reads_in_mirror_mode_are_found_wherever_they_are() -> None:
    assert "at step 2 under rule mirror reads W: B of layer" in detected(with_rule(MirrorReadsW(**MIRROR)))
    early = detected(with_rule(MirrorReadsEarly(**MIRROR)))
    assert early.startswith("transport detected before the first step under rule mirror reads early: B of layer")


def test_a_rule_that_draws_the_initial_w_once_more_is_found_by_the_first_cosine() -> None:
    line = detected(with_rule(DrawsWAgain(), model=DENSE))
    assert "B of layer fc1 starts from W: cos(B, W) is 1.000, and by chance at most 0.0" in line
    list(train(with_rule(DrawsWAgain(seed=1), model=DENSE), ALL))  # which is honest Kolen-Pollack


def test_a_declared_initial_angle_is_no_transport() -> None:
    found = audited(with_rule(KolenPollack(angle=20.0)))
    assert found[0].cosines["conv1"] == pytest.approx(0.94, abs=0.01)


@pytest.mark.parametrize(
    ("rule", "model"),
    [
        *((rule, model) for rule in (HalfRate(), OwnStep(), KolenPollack()) for model in (ModelConfig(), DENSE)),
        (Hebbian(), DENSE),
    ],
    ids=lambda value: value.name,
)
def test_honest_rules_pass_twenty_audited_steps(rule: Rule, model: ModelConfig) -> None:
    config = with_rule(rule, model=model, epochs=7, optim=OptimConfig(lr=0.005))
    found = audited(config, 20)
    assert len(found) == 21 and all(audit.examined for audit in found)
    assert {audit.change for audit in found} == {0.0}  # bit for bit
    assert all(audit.hidden > 0 for audit in found)


def shared_audits(config: RunConfig) -> tuple[list[Audit], list[dict[str, Any]]]:
    """Return the audits of a run that several workers share, and its numbers."""
    found: list[Audit] = []
    epochs = numbers(train(config, replace(CPU, audit=3), on_audit=found.append, group=ProcessGroup()))
    return found, epochs


def test_two_workers_audit_the_same_steps_and_train_as_without() -> None:
    config = replace(shared_run("kp", precision="float32"), rule=OwnStep())
    (first, epochs), (second, _) = on_workers(2, shared_audits, config)
    assert [(one.step, one.change) for one in first] == [(one.step, one.change) for one in second]
    assert len(first) == 4 and all(one.examined for one in first)
    assert epochs == on_workers(2, unaudited, config)[0]


def unaudited(config: RunConfig) -> list[dict[str, Any]]:
    """Return the numbers of a run without audits."""
    return numbers(train(config, replace(CPU, audit=0), group=ProcessGroup()))


@pytest.mark.parametrize("name", [name for name, config in CASES.items() if config.rule.name in ("fa", "kp", "wm")])
def test_audits_change_neither_the_log_nor_a_checkpoint(name: str, tmp_path: Path) -> None:
    config = CASES[name]
    plain = numbers(train(config, replace(CPU, audit=0), checkpoints=tmp_path / "plain"))
    found = numbers(train(config, replace(CPU, audit=3), checkpoints=tmp_path / "audited"))
    assert found == plain
    assert_equal(tensors(tmp_path / "audited"), tensors(tmp_path / "plain"))


@pytest.mark.parametrize("rule", [Hebbian(), OwnStep()], ids=lambda rule: rule.name)
def test_a_custom_rule_resumes_in_mid_training_with_the_same_numbers_and_audits(rule: Rule, tmp_path: Path) -> None:
    config, found = with_rule(rule, model=DENSE, optim=OptimConfig(lr=0.02)), list[Audit]()
    plain = numbers(train(config, replace(CPU, audit=0), checkpoints=tmp_path / "plain"))
    with pytest.raises(TrainingInterrupted):
        list(train(config, CPU, checkpoints=tmp_path / "kept", should_stop=after(4)))
    state = checkpoint.load(tmp_path / "kept")
    assert state is not None
    drawn = state["audits"]["steps"]
    assert len(drawn) == 3  # the default of a custom rule
    assert numbers(train(config, CPU, checkpoints=tmp_path / "kept", on_audit=found.append)) == plain
    assert_equal(tensors(tmp_path / "kept"), tensors(tmp_path / "plain"))
    assert [audit.step for audit in found] == [0, *drawn]


def test_a_detected_rule_is_detected_again_when_its_run_is_resumed(tmp_path: Path) -> None:
    config = with_rule(LateSteps(), model=DENSE)
    first = detected(config, checkpoints=tmp_path).split(" (by ")[0]
    assert detected(config, checkpoints=tmp_path).split(" (by ")[0] == first


def test_a_detected_run_cannot_go_on_without_audits(tmp_path: Path) -> None:
    config = with_rule(LateSteps(), model=DENSE)
    first = detected(config, checkpoints=tmp_path).split(" (by ")[0]
    with pytest.raises(TransportDetected, match=re.escape(first)):
        list(train(config, replace(ALL, audit=0), checkpoints=tmp_path))


def test_steps_are_drawn_from_the_operating_system_and_one_of_them_is_a_mirror_step() -> None:
    rule = MirrorReadsW(**MIRROR)
    plans = [draw_plan(3, 1, 10_000, rule, lambda step: step % 5000 == 0, SINGLE_WORKER).steps for _ in range(20)]
    assert len(set(plans)) == 20
    assert all(len(set(plan)) == 3 and any(step % 5000 == 0 for step in plan) for plan in plans)
    assert draw_plan(3, 9, 10, rule, lambda step: False, SINGLE_WORKER).steps == (9, 10)


def test_by_default_custom_rules_are_audited_and_built_in_ones_are_not() -> None:
    def steps(rule: Rule) -> int:
        found: list[Audit] = []
        list(train(with_rule(rule, model=DENSE), CPU, on_audit=found.append))
        return len(found)

    assert (steps(FeedbackAlignment()), steps(OwnStep()), steps(Sham())) == (0, 4, 0)


def test_a_rule_that_declares_to_read_w_is_not_audited_and_its_log_says_so() -> None:
    found = audited(with_rule(Sham(), model=DENSE))
    assert found == [Audit(0, examined=False, declares="weight")]
    assert audits_in_words(found) == "not audited, since the rule declares the signal weight"


def test_a_negative_number_of_audited_steps_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^audit is -1: it must be at least 0$"):
        Placement(audit=-1)


def test_the_chance_to_miss_a_rule_falls_with_the_number_of_steps() -> None:
    assert chance_to_miss(0.1, 3) == pytest.approx(0.729)
    assert chance_to_miss(0.01, 3) == pytest.approx(0.970, abs=1e-3)
