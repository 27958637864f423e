"""Search spaces as data: keys, names, the reference cell, and spaces that are not valid."""

from dataclasses import replace
from importlib.metadata import entry_points

import pytest

from nowt.config.recipes import digits
from nowt.core.errors import ConfigError
from nowt.studies.claim import Claim
from nowt.studies.lookup import find_space
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.confirmation import Confirm
from nowt.studies.search.params import Range
from nowt.studies.search.space import Budget, EarlyStopping, SearchSpace, space_to_json
from nowt.studies.study import Cell as StudyCell
from nowt.studies.study import Study
from tests.support.small_spaces import LR, base, small_space

SPACES = sorted(point.name for point in entry_points(group="nowt.spaces"))


@pytest.mark.parametrize("name", SPACES)
def test_a_shipped_space_loads_and_uses_no_test_images(name: str) -> None:
    found = find_space(name)
    assert found.name == name and found.question.endswith("?")
    assert all(not cell.config.test and cell.params for cell in found.cells)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small_space(LR, sampler="grid"), "sampler .grid. needs choices"),
        (lambda: small_space(LR, sampler="sobol"), "sampler is 'sobol'.*'tpe', 'quasi_random', 'random' or 'grid'"),
        (lambda: small_space(LR, reference="nobody"), "reference is 'nobody': it must be a cell: wm"),
        (lambda: EarlyStopping("asha"), "stopping.kind is 'asha'.*'none', 'halving' or 'median'"),  # type: ignore[arg-type]
        (lambda: EarlyStopping(first_rung=1.5), "stopping.first_rung is 1.5.*integer"),  # type: ignore[arg-type]
        (lambda: EarlyStopping(factor=1), "2 or more"),
        (lambda: EarlyStopping("none", first_rung=4), "stopping.first_rung has no effect with kind='none'"),
        (lambda: EarlyStopping("median", factor=4), "stopping.factor has no effect with kind='median'"),
        (lambda: Budget(3, "epochs"), "budget.unit is 'epochs'.*'trials', 'presentations'"),  # type: ignore[arg-type]
        (lambda: Budget(0), "above 0"),
        (lambda: Confirm(0), "confirm.settings is 0: it must be at least 1"),
        (lambda: Confirm(2, pick_seeds=0), "confirm.pick_seeds is 0: it must be at least 1"),
        (lambda: Confirm(2, seeds=1.5), "confirm.seeds is 1.5.*integer"),  # type: ignore[arg-type]
        (lambda: Confirm(2, test=False), "confirm.test is False.*True or 'last'"),  # type: ignore[arg-type]
        (lambda: Confirm(2, test=1), "confirm.test is 1: it must be True or 'last'"),  # type: ignore[arg-type]
        (lambda: Confirm(1, seeds=2, pick_seeds=8), "confirm.seeds has no effect with settings=1 and pick_seeds=8"),
        (lambda: small_space(LR, confirm=2), r"confirm is 2: it must be like Confirm\(2"),
        (lambda: small_space(LR, claim=Claim(("wm",), 1.0)), "its claim names 'wm', which is the reference"),
        (lambda: Budget(float("inf")), "inf trials: it must be above 0 and finite"),
        (lambda: Budget(2.5), "2.5 trials: the number of trials must be an integer"),
        (
            lambda: SearchSpace("s", "?", (SearchCell("bp", digits(), (LR,)),), Budget(1)),
            "the config of cell bp has test=True",
        ),
        (
            lambda: SearchSpace("s", "?", (SearchCell("bp", replace(digits(), test="last"), (LR,)),), Budget(1)),
            "the config of cell bp has test='last'",
        ),
        (lambda: small_space(LR, stopping="none"), r"stopping is 'none': it must be like EarlyStopping\("),
        (
            lambda: SearchSpace("s", "?", (SearchCell("bp", base("bp"), (LR,)),), 20),
            r"budget is 20: it must be like Budget\(",
        ),  # type: ignore[arg-type]
        (
            lambda: SearchSpace("s", "?", SearchCell("bp", base("bp"), (LR,)), Budget(1)),
            "cells is SearchCell.*with a comma",
        ),  # type: ignore[arg-type]
        (lambda: SearchSpace("s", "?", (LR,), Budget(1)), r"cells has Range: each must be a SearchCell\("),  # type: ignore[arg-type]
        (
            lambda: SearchSpace("s", "?", (SearchCell("bp", replace(base("bp"), seed=5), (LR,)),), Budget(1)),
            "has seed=5: .*run_seed",
        ),
        (lambda: Study("s", "?", (StudyCell("bp", replace(base("bp"), seed=5)),), (0,)), "has seed=5: leave it out"),
    ],
)
def test_an_invalid_space_is_an_error_of_one_line(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make()  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_the_default_reference_cell_is_bp_or_the_first() -> None:
    assert small_space(LR).baseline == "wm" and find_space("fair_rules").baseline == "bp"
    assert space_to_json(small_space(LR, reference="wm"))["reference"] == "wm"


@pytest.mark.parametrize("name", ["a/b", "", ".hidden", "two\nlines"])
def test_a_name_that_is_not_valid_in_a_file_name_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match=r"a search is called .*: it may have letters, digits"):
        replace(small_space(LR), name=name)
    with pytest.raises(ConfigError, match="a study is called"):
        Study(name, "Which is best?", (StudyCell("wm", base()),), seeds=(0,))


def test_a_published_search_keeps_its_key() -> None:
    assert find_space("fair_rules").key == "fair_rules-c92ce15e"  # docs/results.md


def test_the_key_depends_on_ranges_and_stopping_but_not_on_the_budget() -> None:
    small = small_space(LR)
    assert replace(small, budget=Budget(99)).key == small.key
    assert small_space(Range("optim.lr", 0.01, 2.0, log=True)).key != small.key
    assert replace(small, stopping=EarlyStopping("none")).key != small.key


def test_neither_the_confirmation_nor_the_claim_changes_the_key_of_a_search() -> None:
    space = SearchSpace("s", "?", (SearchCell("bp", base("bp"), (LR,)), SearchCell("wm", base(), (LR,))), Budget(1))
    stated = replace(space, confirm=Confirm(2, 2, 8), claim=Claim(("wm",), 1.5, 20.0))
    assert stated.key == space.key
    assert {"confirm", "claim"}.isdisjoint(space_to_json(space))
    assert space_to_json(stated)["confirm"] == {"settings": 2, "seeds": 2, "pick_seeds": 8, "test": True}
