"""Run configurations: run keys, JSON, and one-line messages for invalid settings."""

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from nowt.config import run_key as run_key_module
from nowt.config.placement import Placement
from nowt.config.run_config import (
    DataConfig,
    ModelConfig,
    OptimConfig,
    ProbeConfig,
    RunConfig,
    config_from_json,
    config_to_json,
)
from nowt.config.run_key import non_default_fields, run_key
from nowt.core.errors import did_you_mean
from nowt.core.fields import check_type
from nowt.core.seeding import Seeds
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.registry import find_rule
from nowt.rules.weight_mirror import WeightMirror
from tests.support.config_errors import config_error
from tests.support.nets import EVERY_RULE, rule_id

FULL_CONFIG = RunConfig(
    model=ModelConfig(name="mlp", hidden=(50, 20), activation="tanh", weights="paper"),
    data=DataConfig(name="synthetic", size=16, augment="shift", repeat=2, noise=0.5),
    rule=WeightMirror(sigma=0.5, noise="uniform", angle=30.0),
    optim=OptimConfig(lr=0.1, nesterov=True, schedule="step", milestones=(3.0, 6.5), gamma=0.2, clip=1.0),
    probe=ProbeConfig(interval=2, samples=8),
    epochs=8,
    label_smoothing=0.1,
    test=False,
    seed=4,
    seeds=Seeds(order=1),
)


def through_json(config: RunConfig) -> RunConfig:
    """Convert the config to JSON text and back."""
    return config_from_json(json.loads(json.dumps(config_to_json(config))))


def test_equal_configs_have_the_same_run_key() -> None:
    assert (
        run_key(FULL_CONFIG, "pixels")
        == run_key(replace(FULL_CONFIG), "pixels")
        == run_key(through_json(FULL_CONFIG), "pixels")
    )
    assert len(run_key(FULL_CONFIG, "pixels")) == 12 and int(run_key(FULL_CONFIG, "pixels"), 16) >= 0


def test_run_keys_are_the_same_as_in_earlier_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_key_module, "LOOP_NUMERICS", 1)
    assert run_key(RunConfig(), "pixels") == "ada44a9161ed"
    assert run_key(RunConfig(rule=find_rule("fa")(), optim=OptimConfig(lr=0.1), seed=3), "pixels") == "f213f7a8a928"


def test_every_field_changes_the_run_key() -> None:
    others = {
        "model": ModelConfig(name="resnet20"),
        "data": DataConfig(noise=0.1),
        "rule": FeedbackAlignment(),
        "optim": OptimConfig(lr=0.07),
        "probe": ProbeConfig(samples=18),
        "epochs": 11,
        "batch": 32,
        "loss": "binary",
        "label_smoothing": 0.1,
        "precision": "float64",
        "channels_last": True,
        "compile": True,
        "test": False,
        "seed": 1,
        "seeds": Seeds(crops=0),
    }
    assert set(others) == {f.name for f in fields(RunConfig)}
    keys = {run_key(replace(RunConfig(), **{name: value}), "pixels") for name, value in others.items()}
    assert len(keys | {run_key(RunConfig(), "pixels")}) == len(others) + 1


def test_the_data_changes_the_run_key() -> None:
    assert run_key(FULL_CONFIG, "pixels") != run_key(FULL_CONFIG, "other pixels")


def test_only_non_default_fields_are_part_of_the_run_key() -> None:
    assert non_default_fields(RunConfig()) == {"rule": {"name": "bp", "numerics": 1}}
    assert non_default_fields(RunConfig(optim=OptimConfig(lr=0.05, weight_decay=1e-4), seed=0)) == non_default_fields(
        RunConfig()
    )
    assert non_default_fields(FULL_CONFIG)["rule"] == {
        "name": "wm",
        "numerics": 2,
        "sigma": 0.5,
        "noise": "uniform",
        "angle": 30.0,
    }
    assert non_default_fields(FULL_CONFIG)["seeds"] == {"order": 1}


def test_a_new_numerics_version_of_a_rule_or_of_the_loop_changes_the_run_key(monkeypatch: pytest.MonkeyPatch) -> None:
    fa, bp = RunConfig(rule=FeedbackAlignment()), RunConfig()
    before = run_key(fa, ""), run_key(bp, "")
    with monkeypatch.context() as patch:
        patch.setattr(FeedbackAlignment, "numerics", 2)
        assert run_key(fa, "") != before[0] and run_key(bp, "") == before[1]
    monkeypatch.setattr(run_key_module, "LOOP_NUMERICS", run_key_module.LOOP_NUMERICS + 1)
    assert run_key(fa, "") != before[0] and run_key(bp, "") != before[1]


def test_rules_with_the_same_fields_have_different_run_keys() -> None:
    assert len({run_key(RunConfig(rule=rule), "") for rule in [find_rule("bp")(), *EVERY_RULE]}) == len(EVERY_RULE) + 1


def test_an_integer_and_the_equal_float_have_the_same_run_key() -> None:
    for integer, number in [
        (OptimConfig(lr=1), OptimConfig(lr=1.0)),
        (
            OptimConfig(schedule="step", milestones=(30, 60)),
            OptimConfig(schedule="step", milestones=(30.0, 60.0)),
        ),
    ]:
        keys = [run_key(RunConfig(optim=optim, epochs=90), "") for optim in (integer, number)]
        assert keys[0] == keys[1] == run_key(through_json(RunConfig(optim=integer, epochs=90)), "")


@pytest.mark.parametrize("rule", [find_rule("bp")(), *EVERY_RULE], ids=rule_id)
def test_every_rule_is_restored_from_json(rule: Rule) -> None:
    assert through_json(RunConfig(rule=rule)) == RunConfig(rule=rule)


def test_a_config_with_many_settings_is_restored_from_json() -> None:
    assert through_json(FULL_CONFIG) == FULL_CONFIG
    assert through_json(RunConfig()) == RunConfig()


def test_settings_missing_from_json_have_their_defaults() -> None:
    assert config_from_json({}) == RunConfig()
    assert config_from_json({"rule": {"name": "wm", "sigma": 2}}) == RunConfig(rule=WeightMirror(sigma=2.0))


def test_numbers_and_booleans_may_be_given_as_text() -> None:
    found = config_from_json({"optim": {"lr": "0.2", "nesterov": "true"}, "epochs": "7", "test": "false"})
    assert found == RunConfig(optim=OptimConfig(lr=0.2, nesterov=True), epochs=7, test=False)
    assert config_from_json({"test": "last"}) == RunConfig(test="last")


def test_configs_are_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        FULL_CONFIG.optim.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"epoch": 3}, "there is no setting epoch (did you mean epochs?); there are: model, data, rule, "),
        (
            {"optim": {"weight_decy": 0}},
            "there is no setting optim.weight_decy (did you mean weight_decay?); ",
        ),
        ({"rule": {"name": "wm", "etta": 1}}, "there is no setting rule.etta (did you mean eta?); "),
        (
            {"rule": {"name": "fa", "eta": 1}},
            "there is no setting rule.eta (did you mean start?); there are: last_layer, ",
        ),
        (
            {"rule": {"name": "wn"}},
            "there is no rule 'wn' (did you mean wm?); there are: bp, fa, ss, wm, kp, dfa, dkp, ia, sham",
        ),
        ({"data": {"zzz": 1}}, "there is no setting data.zzz; there are: name, size, "),
        ({"optim": {"lr": "fast"}}, "optim.lr is 'fast': input should be a valid number"),
        ({"epochs": 2.5}, "epochs is 2.5: input should be a valid integer"),
        ({"model": {"weights": "mine"}}, "model.weights is 'mine': input should be 'torchvision' or 'paper'"),
        ({"optim": {"lr": -1}}, "optim.lr is -1.0: it must be above 0"),
    ],
)
def test_the_message_for_an_invalid_setting_names_it_and_what_is_allowed(data: dict[str, Any], message: str) -> None:
    assert config_error(lambda: config_from_json(data)).startswith(message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelConfig(hidden=(5,)), "model.hidden is for mlp only; tiny_resnet has no such setting"),
        (lambda: ModelConfig(activation="tanh"), "model.activation is for mlp only; tiny_resnet uses relu"),
        (lambda: ModelConfig("mlp", hidden=(5, 0)), "model.hidden is (5, 0): every size must be above 0"),
        (
            lambda: ModelConfig(norm_group=1),
            "model.norm_group is 1: it must be 2 or more, or none for the whole batch",
        ),
        (lambda: DataConfig(size=3), "data.size is 3: it must be at least 4 pixels"),
        (lambda: DataConfig(repeat=0), "data.repeat is 0: it must be at least 1"),
        (lambda: DataConfig(noise=-0.1), "data.noise is -0.1: it must be 0 or above"),
        (
            lambda: DataConfig(hold_out=False, split="by_seed"),
            "data.split is by_seed, but all training images are used: set data.hold_out to True, set "
            "data.train_limit, or leave out data.split",
        ),
        (
            lambda: DataConfig("mnist", noise=0.1),
            "data.noise is for digits and synthetic only, not for mnist: set data.noise to 0",
        ),
        (lambda: OptimConfig(weight_decay="0"), "optim.weight_decay is '0': it must be a number, without quotes"),
        (lambda: RunConfig(epochs="3"), "epochs is '3': it must be a number, without quotes"),
        (lambda: OptimConfig(lr=0.0), "optim.lr is 0.0: it must be above 0"),
        (lambda: OptimConfig(momentum=1.0), "optim.momentum is 1.0: it must lie in [0, 1)"),
        (lambda: OptimConfig(weight_decay=-1.0), "optim.weight_decay is -1.0: it must be 0 or above"),
        (lambda: OptimConfig(warmup=-1.0), "optim.warmup is -1.0: it must be 0 or above, in epochs"),
        (lambda: OptimConfig(clip=0.0), "optim.clip is 0.0: it must be above 0, or none"),
        (lambda: OptimConfig("adamw", nesterov=True), "optim.nesterov is for sgd only"),
        (lambda: OptimConfig(nesterov=True, momentum=0.0), "optim.nesterov needs optim.momentum above 0"),
        (lambda: OptimConfig(beta2=0.99), "optim.beta2 is for adamw only"),
        (lambda: OptimConfig(milestones=(1.0,)), "optim.milestones is for schedule step, not cosine"),
        (
            lambda: OptimConfig(schedule="constant", gamma=0.5),
            "optim.gamma is for schedule step, not constant",
        ),
        (lambda: ProbeConfig(interval=-1), "probe.interval is -1: it must be 0 (never) or above"),
        (lambda: ProbeConfig(samples=1), "probe.samples is 1: it must be at least 2"),
        (lambda: RunConfig(epochs=0), "epochs is 0: it must be at least 1"),
        (lambda: RunConfig(batch=1), "batch is 1: it must be at least 2"),
        (
            lambda: RunConfig(test="lats"),
            "test is 'lats' (did you mean last?): input should be a valid boolean or 'last'",
        ),
        (lambda: RunConfig(label_smoothing=1.0), "label_smoothing is 1.0: it must lie in [0, 1)"),
        (
            lambda: RunConfig(loss="binary", label_smoothing=0.1),
            "label_smoothing is for loss cross_entropy only",
        ),
        (
            lambda: OptimConfig(lr_factor_norms_and_biases=0.0),
            "optim.lr_factor_norms_and_biases is 0.0: it must be above 0",
        ),
        (
            lambda: RunConfig(ModelConfig(norm_group=48)),
            "model.norm_group is 48: it must divide batch, which is 64",
        ),
        (
            lambda: RunConfig(ModelConfig(norm_group=32)),
            "probe.samples is 16: model.norm_group, which is 32, must divide it",
        ),
    ],
)
def test_an_invalid_config_is_rejected_when_it_is_created(make: Callable[[], object], message: str) -> None:
    assert config_error(make) == message


def test_an_unknown_data_set_is_reported_before_fields_that_do_not_apply_to_it() -> None:
    message = config_error(lambda: DataConfig("cifar", noise=0.3))  # type: ignore[arg-type]
    assert message.startswith("data.name is 'cifar' (did you mean cifar10?): input should be 'digits', 'mnist',")


def test_a_name_is_suggested_only_if_it_is_similar() -> None:
    assert did_you_mean("momentun", ["lr", "momentum"]) == " (did you mean momentum?)"
    assert did_you_mean("xyz", ["lr", "momentum"]) == ""


def test_values_are_checked_against_their_types() -> None:
    assert check_type(float | None, "0.5", "optim.clip") == 0.5
    assert check_type(tuple[int, ...], [1, 2], "model.hidden") == (1, 2)
    assert config_error(lambda: check_type(int, "many", "epochs")).startswith(
        "epochs is 'many': input should be a valid integer"
    )


def test_placement_and_config_share_no_field_except_data() -> None:
    assert not {f.name for f in fields(Placement)} & {f.name for f in fields(RunConfig)}.difference({"data"})
