"""Values of a config that have the wrong type or are not finite are rejected when the config is created."""

import math
from typing import Any

import numpy as np
import pytest

from nowt.config.run_config import DataConfig, ModelConfig, OptimConfig, ProbeConfig, RunConfig
from nowt.core.seeding import Seeds
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.sign_symmetry import SignSymmetry
from nowt.rules.weight_mirror import WeightMirror
from tests.support.config_errors import config_error


@pytest.mark.parametrize("value", [math.inf, math.nan, -math.inf])
@pytest.mark.parametrize(
    ("kind", "field", "name"),
    [
        (OptimConfig, "lr", "optim.lr"),
        (OptimConfig, "weight_decay", "optim.weight_decay"),
        (OptimConfig, "clip", "optim.clip"),
        (OptimConfig, "gamma", "optim.gamma"),
        (OptimConfig, "warmup", "optim.warmup"),
        (DataConfig, "noise", "data.noise"),
        (RunConfig, "label_smoothing", "label_smoothing"),
        (KolenPollack, "scale", "rule.scale"),
        (FeedbackAlignment, "angle", "rule.angle"),
        (SignSymmetry, "scale", "rule.scale"),
        (WeightMirror, "eta", "rule.eta"),
        (WeightMirror, "receiver_noise", "rule.receiver_noise"),
    ],
)
def test_a_number_that_is_not_finite_is_rejected(kind: Any, field: str, name: str, value: float) -> None:
    assert config_error(lambda: kind(**{field: value})) == f"{name} is {value}: it must be finite"


def test_a_milestone_that_is_not_finite_is_rejected() -> None:
    assert config_error(lambda: OptimConfig(schedule="step", milestones=(1.0, math.inf))) == (
        "optim.milestones is (1.0, inf): it must be finite"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OptimConfig(lr="0.1"), "optim.lr is '0.1': it must be a number, without quotes"),
        (lambda: OptimConfig(weight_decay="1e-4"), "optim.weight_decay is '1e-4': it must be a number, without quotes"),
        (lambda: KolenPollack(scale="2"), "rule.scale is '2': it must be a number, without quotes"),
        (lambda: SignSymmetry(scale="2"), "rule.scale is '2': it must be a number, without quotes"),
        (lambda: WeightMirror(samples="16"), "rule.samples is '16': it must be a number, without quotes"),
        (lambda: ProbeConfig(samples="16"), "probe.samples is '16': it must be a number, without quotes"),
        (lambda: Seeds(weights="1"), "seeds.weights is '1': it must be a number, without quotes"),
        (lambda: RunConfig(epochs="5"), "epochs is '5': it must be a number, without quotes"),
        (lambda: RunConfig(batch=64.5), "batch is 64.5: input should be a valid integer"),
        (lambda: DataConfig(size=16.0), "data.size is 16.0: input should be a valid integer"),
    ],
)
def test_a_number_that_is_given_as_text_or_has_a_fraction_is_rejected(make: Any, message: str) -> None:
    assert config_error(make) == message


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (
            lambda: OptimConfig(name="adam"),
            "optim.name is 'adam' (did you mean adamw?): input should be 'sgd' or 'adamw'",
        ),
        (
            lambda: OptimConfig(schedule="cosinus"),
            "optim.schedule is 'cosinus' (did you mean cosine?): input should be 'con",
        ),
        (lambda: ModelConfig(weights="he"), "model.weights is 'he': input should be 'torchvision' or 'paper'"),
        (lambda: FeedbackAlignment(start="gauss"), "rule.start is 'gauss': input should be 'as_weight', "),
        (lambda: RunConfig(loss="mse"), "loss is 'mse': input should be 'cross_entropy' or 'binary'"),
    ],
)
def test_a_misspelled_choice_is_rejected_instead_of_replaced_by_another(make: Any, start: str) -> None:
    assert config_error(make).startswith(start)


def test_lists_integers_and_numpy_numbers_are_accepted_where_python_numbers_are() -> None:
    assert ModelConfig("mlp", hidden=[500]).hidden == (500,)  # type: ignore[arg-type]
    assert OptimConfig(lr=1).lr == 1
    assert OptimConfig(lr=np.float32(0.5)).lr == 0.5  # type: ignore[arg-type]
    assert RunConfig(epochs=np.int64(7)).epochs == 7  # type: ignore[arg-type]
