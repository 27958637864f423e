"""Cells of a search: the config of a setting, conditional parameters, grids."""

import pytest
from optuna.storages import InMemoryStorage

from nowt.config.recipes import resnet18_imagenet
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.options import with_recipe
from nowt.studies.search.params import Choice, Range, When
from nowt.studies.search.space import EarlyStopping
from nowt.studies.search.trial_storage import TrialStorage
from tests.support.small_spaces import SCHEDULE, base, milestones, small_space


def test_a_gain_sets_eta_to_its_product_with_decay() -> None:
    cell = SearchCell(
        "wm", base(), (Range("rule.decay", 0.01, 0.5), Range("rule.eta", 0.1, 10, log=True, times="rule.decay"))
    )
    config = cell.config_of({"rule.decay": 0.2, "rule.eta/rule.decay": 1.5})
    assert vars(config.rule)["decay"] == 0.2 and vars(config.rule)["eta"] == pytest.approx(0.3)


def test_a_conditional_parameter_exists_only_with_its_value() -> None:
    milestones = Choice("optim.milestones", ((2.0,), (3.0, 4.0)), when=When("optim.schedule", "step"))
    cell = SearchCell("bp", base("bp"), (Choice("optim.schedule", ("cosine", "step")), milestones))
    assert cell.is_active(milestones, {"optim.schedule": "step"}) and not cell.is_active(
        milestones, {"optim.schedule": "cosine"}
    )
    assert cell.config_of({"optim.schedule": "step", "optim.milestones": (3.0, 4.0)}).optim.milestones == (3.0, 4.0)


def test_a_grid_tries_each_distinct_combination_once() -> None:
    gridy = small_space(
        SCHEDULE, milestones("step"), Choice("optim.lr", (0.1, 0.2)), sampler="grid", stopping=EarlyStopping("none")
    )
    [cell] = gridy.cells
    assert cell.grid_size == 6
    decisions = TrialStorage.open(gridy, InMemoryStorage())
    asked = [decisions.ask(cell).values for _ in range(6)]
    assert len({str(values) for values in asked}) == 6
    assert asked[:2] == [{"optim.schedule": "cosine", "optim.lr": lr} for lr in (0.1, 0.2)]
    assert asked[-1] == {"optim.schedule": "step", "optim.milestones": (3.0, 4.0), "optim.lr": 0.2}


def test_another_schedule_drops_the_milestones_of_the_recipe() -> None:
    on_imagenet = with_recipe(small_space(SCHEDULE, milestones("step")), resnet18_imagenet)
    [cell] = on_imagenet.cells
    assert cell.config.optim.milestones == (30.0, 60.0, 80.0)
    assert cell.config_of({"optim.schedule": "cosine"}).optim.milestones == ()
    assert cell.config_of({"optim.schedule": "step", "optim.milestones": (18.0,)}).optim.milestones == (18.0,)
