"""The weight mirror's target angle as a parameter of a search."""

from dataclasses import replace

import pytest

from nowt.config.recipes import digits
from nowt.config.run_config import RunConfig
from nowt.rules.weight_mirror import WeightMirror
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Choice, Param, Range
from tests.support.config_errors import config_error

RATES = (Range("optim.lr", 0.005, 0.05, log=True), Range("optim.weight_decay", 1e-4, 5e-3, log=True))


def held(target: float | None = 8.0) -> RunConfig:
    return replace(digits(WeightMirror(target_angle=target)), test=False)


@pytest.mark.parametrize("base", [8.0, None])
@pytest.mark.parametrize(
    "param", [Range("rule.target_angle", 4.5, 60.0, log=True), Choice("rule.target_angle", (5.0, 8.0, 30.0))]
)
def test_it_is_searched_beside_the_shared_parameters(param: Param, base: float | None) -> None:
    cell = SearchCell("wm", held(base), (*RATES, param))
    config = cell.config_of({"optim.lr": 0.02, "optim.weight_decay": 1e-3, "rule.target_angle": 30.0})
    assert config.rule == WeightMirror(target_angle=30.0)
    assert all(isinstance(each.rule, WeightMirror) and each.rule.target_angle for each in cell.candidate_configs())


def test_a_range_that_reaches_angles_which_no_mirror_holds_is_refused_before_the_search_starts() -> None:
    params = (Range("optim.lr", 0.05, 0.5, log=True), Range("rule.target_angle", 2.0, 30.0, log=True))
    assert "use a larger target_angle" in config_error(lambda: SearchCell("wm", held(30.0), params))


def test_a_field_that_the_target_replaces_cannot_be_searched_beside_it() -> None:
    line = config_error(lambda: SearchCell("wm", held(), (*RATES, Range("rule.samples", 8, 64, integer=True))))
    assert "with rule.target_angle, nowt chooses it" in line
