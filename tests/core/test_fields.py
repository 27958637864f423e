"""NumPy's numbers and arrays in configs, studies and spaces are the plain numbers that they print as."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from nowt import Budget, Cell, Choice, EarlyStopping, KolenPollack, Range, SearchCell, SearchSpace, Study, When, recipes
from nowt.config.overrides import set_fields
from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig, ModelConfig, OptimConfig, RunConfig, config_from_json, config_to_json
from nowt.config.run_key import run_key
from nowt.core.fields import check_type, plain
from nowt.core.seeding import Seeds, generator
from nowt.execution.job import Job
from nowt.studies.search.space import space_to_json
from nowt.studies.study import study_to_json
from tests.support.config_errors import config_error


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.float32(0.05), 0.05),
        (np.float16(0.1), 0.1),
        (np.float64(0.1), 0.1),
        (np.float32(1e-4), 1e-4),
        (np.int64(5), 5),
        (np.uint8(255), 255),
        (np.bool_(True), True),
        (np.str_("kp"), "kp"),
        (np.arange(3), (0, 1, 2)),
        (np.array(2.5), 2.5),
        (np.linspace(0, 0.3, 4, dtype=np.float32), (0.0, 0.1, 0.2, 0.3)),
        ((np.float32(0.1), "x", None), (0.1, "x", None)),
        ([np.int8(1)], [1]),
    ],
)
def test_a_numpy_value_becomes_the_plain_value_that_it_prints_as(given: Any, expected: Any) -> None:
    found = plain(given)
    assert found == expected
    assert type(found) is type(expected)
    json.dumps(found)


COMPLEX = (0.1 + 0j, np.complex64(0.1), np.complex128(0.1 + 1j), np.clongdouble(0.1), np.array(0.1 + 0j))


@pytest.mark.filterwarnings("ignore:Casting complex values")  # an error would look like a refusal
@pytest.mark.parametrize(
    "number", [*COMPLEX, torch.tensor(0.1), torch.ones(2, 2), Decimal("0.1"), Fraction(1, 10)], ids=repr
)
def test_an_object_that_is_no_real_number_is_refused_in_one_line(number: Any) -> None:
    for name, make in (
        ("optim.lr", lambda: OptimConfig(lr=number)),
        ("optim.milestones", lambda: OptimConfig(schedule="step", milestones=(number,))),
        ("rule.angle", lambda: KolenPollack(angle=number)),
        ("optim.lr", lambda: set_fields(recipes.digits(KolenPollack()), {"optim.lr": number})),
        ("label_smoothing", lambda: config_from_json({"label_smoothing": number})),
    ):
        assert config_error(make).startswith(f"{name} is ")


def test_a_field_whose_type_is_a_class_with_a_number_accepts_its_instances() -> None:
    @dataclass(frozen=True)
    class Exact(KolenPollack):
        share: Fraction = Fraction(1, 3)

    assert Exact(share=Fraction(1, 7)).share == Fraction(1, 7)


def test_other_values_stay_what_they_are() -> None:
    for value in (1, 0.5, "x", None, True, (1, 2), torch.ones(2), object(), np.datetime64("2020-01-01")):
        assert plain(value) is value


def config(number: Callable[[float], Any], whole: Callable[[int], Any]) -> RunConfig:
    return RunConfig(
        ModelConfig("mlp", hidden=(whole(50), whole(20))),
        DataConfig(size=whole(16), noise=number(0.5)),
        KolenPollack(scale=number(0.3)),
        OptimConfig(lr=number(0.05), schedule="step", milestones=(number(2.5), number(4.5)), clip=number(1.1)),
        epochs=whole(6),
        label_smoothing=number(0.1),
        seed=whole(3),
        seeds=Seeds(order=whole(2)),
    )


@pytest.mark.parametrize("number", [np.float32, np.float64])
def test_a_config_with_numpy_values_has_the_key_and_the_log_of_the_plain_one(number: Any) -> None:
    numpy, python = config(number, np.int64), config(float, int)
    assert numpy == python
    assert run_key(numpy, "pixels") == run_key(python, "pixels")
    assert json.dumps(config_to_json(numpy)) == json.dumps(config_to_json(python))


def test_an_array_is_a_tuple() -> None:
    base = OptimConfig(schedule="step", milestones=(2.0, 4.0))
    assert replace(base, milestones=np.array([2.0, 4.0])) == base
    assert ModelConfig("mlp", hidden=np.array([50, 20])) == ModelConfig("mlp", hidden=(50, 20))


def test_a_study_with_numpy_values_is_the_plain_study() -> None:
    base = recipes.digits(KolenPollack())
    cells = [Cell(f"lr {lr}", replace(base, optim=replace(base.optim, lr=lr))) for lr in np.array([0.1, 0.2])]
    other = [Cell(f"lr {lr}", replace(base, optim=replace(base.optim, lr=lr))) for lr in (0.1, 0.2)]
    numpy = Study("s", "Which?", tuple(cells), seeds=np.arange(3), reference="lr 0.1", keep=np.array([0, 5]))  # type: ignore[arg-type]
    python = Study("s", "Which?", tuple(other), seeds=(0, 1, 2), reference="lr 0.1", keep=(0, 5))
    assert numpy.key == python.key
    assert json.dumps(study_to_json(numpy)) == json.dumps(study_to_json(python))
    keys = [[run_key(c, "pixels") for _, _, c in study.runs()] for study in (numpy, python)]
    assert keys[0] == keys[1]


def space(number: Callable[[float], Any], whole: Callable[[int], Any]) -> SearchSpace:
    params = (
        Range("optim.lr", number(0.01), number(0.5), log=True),
        Choice("optim.momentum", (number(0.5), number(0.9))),
        Choice("optim.schedule", ("cosine", "step")),
        Choice("optim.milestones", ((number(6.0),), (number(7.5),)), when=When("optim.schedule", "step")),
        Range("batch", whole(32), whole(64), integer=True),
    )
    cell = SearchCell("kp", replace(recipes.digits(KolenPollack()), test=False), params)
    stopping = EarlyStopping("halving", first_rung=whole(2), factor=whole(4))
    return SearchSpace("s", "Which?", (cell,), Budget(whole(6)), stopping=stopping, seed=whole(1), run_seed=whole(2))


@pytest.mark.parametrize("number", [np.float32, np.float64])
def test_a_space_with_numpy_values_is_the_plain_space(number: Any) -> None:
    numpy, python = space(number, np.int64), space(float, int)
    assert numpy.key == python.key
    assert json.dumps(space_to_json(numpy)) == json.dumps(space_to_json(python))


def test_a_choice_of_an_array_has_its_values() -> None:
    assert Choice("optim.lr", np.array([0.1, 0.2])) == Choice("optim.lr", (0.1, 0.2))  # type: ignore[arg-type]


def test_numpy_values_are_set_by_path() -> None:
    base = recipes.digits(KolenPollack())
    assert set_fields(base, {"optim.lr": np.float32(0.05), "epochs": np.int64(3)}) == set_fields(
        base, {"optim.lr": 0.05, "epochs": 3}
    )
    assert check_type(int, np.int64(3), "epochs", strict=True) == 3


def test_a_numpy_seed_draws_what_the_plain_seed_draws() -> None:
    numpy, python = (torch.randn(3, generator=generator(seed, "feedback", "conv1")) for seed in (np.int64(3), 3))
    assert torch.equal(numpy, python)


def test_a_job_with_numpy_values_can_be_sent_to_a_worker() -> None:
    job = Job("key", config(np.float32, np.int64), Placement(threads=np.int64(2), slots=np.int32(1)))  # type: ignore[arg-type]
    assert Job.from_text(job.to_text()) == job
