"""Search spaces as data: what they vary, what they refuse, and what a draw becomes."""

from dataclasses import replace
from importlib.metadata import entry_points

import pytest
from optuna.storages import InMemoryStorage

from nowt.config.overrides import Override
from nowt.config.recipes import digits, resnet18_imagenet
from nowt.config.run_config import RunConfig
from nowt.core.errors import ConfigError
from nowt.rules.backprop import Backprop
from nowt.rules.registry import find_rule
from nowt.studies.lookup import find_space
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.options import on_recipe, shrink_space, with_options
from nowt.studies.search.params import Choice, Range, When
from nowt.studies.search.space import Budget, EarlyStopping, SearchSpace, space_to_json
from nowt.studies.search.trial_storage import TrialStorage
from nowt.studies.study import Cell as StudyCell
from nowt.studies.study import Study

SPACES = sorted(point.name for point in entry_points(group="nowt.spaces"))

LR = Range("optim.lr", 0.01, 1.0, log=True)

DECAY = Range("rule.decay", 0.01, 0.5)

GAIN = Range("rule.eta", 0.3, 3.0, log=True, times="rule.decay")

SCHEDULE = Choice("optim.schedule", ("cosine", "step"))


def milestones(schedule: str) -> Choice:
    return Choice("optim.milestones", ((2.0,), (3.0, 4.0)), when=When("optim.schedule", schedule))


STEPS = milestones("step")


def base(rule: str = "wm") -> RunConfig:
    return replace(digits(find_rule(rule)()), test=False)


def space(*params: Range | Choice, rule: str = "wm", **fields: object) -> SearchSpace:
    return SearchSpace("small", "Which is best?", (SearchCell(rule, base(rule), params),), Budget(4), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SPACES)
def test_a_shipped_space_is_found_and_varies_only_what_its_base_has(name: str) -> None:
    found = find_space(name)
    assert found.name == name and found.question.endswith("?")
    assert all(not cell.config.test and cell.params for cell in found.cells)


def test_a_gain_is_drawn_and_eta_follows_it() -> None:
    cell = SearchCell(
        "wm", base(), (Range("rule.decay", 0.01, 0.5), Range("rule.eta", 0.1, 10, log=True, times="rule.decay"))
    )
    config = cell.config_of({"rule.decay": 0.2, "rule.eta/rule.decay": 1.5})
    assert vars(config.rule)["decay"] == 0.2 and vars(config.rule)["eta"] == pytest.approx(0.3)


def test_a_quick_search_keeps_the_shares_of_warm_up_and_milestones() -> None:
    milestones = Choice("optim.milestones", ((5.0,), (7.0, 9.0)), when=When("optim.schedule", "step"))
    whole = space(Range("optim.warmup", 0.0, 2.0), Choice("optim.schedule", ("cosine", "step")), milestones)
    [cell] = shrink_space(whole).cells
    assert cell.config.epochs == 2 and cell.params[0].extremes == (0.0, 0.4)
    assert cell.params[2].extremes == ((1.0,), pytest.approx((1.4, 1.8)))
    [cell] = shrink_space(space(Choice("optim.warmup", (0.0, 1.0, 5.0)))).cells
    assert cell.params[0].extremes == (0.0, 0.2, 1.0)


def test_a_parameter_exists_only_beside_the_value_it_belongs_to() -> None:
    milestones = Choice("optim.milestones", ((2.0,), (3.0, 4.0)), when=When("optim.schedule", "step"))
    cell = SearchCell("bp", base("bp"), (Choice("optim.schedule", ("cosine", "step")), milestones))
    assert cell.is_active(milestones, {"optim.schedule": "step"}) and not cell.is_active(
        milestones, {"optim.schedule": "cosine"}
    )
    assert cell.config_of({"optim.schedule": "step", "optim.milestones": (3.0, 4.0)}).optim.milestones == (3.0, 4.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: space(Range("optim.lrr", 0, 1)), "there is no field optim.lrr .did you mean optim.lr."),
        (lambda: space(Range("rule.decay", 0, 1), rule="kp"), "there is no field rule.decay"),
        (lambda: space(Range("rule.eta", 1, 2, times="rule.dekay")), "rule.dekay .did you mean rule.decay"),
        (lambda: space(Choice("optim.nesterov", (True,))), "give two or more"),
        (lambda: space(Range("optim.lr", 0.1, 0.1)), "low must be below high"),
        (lambda: space(Range("optim.lr", 0.0, 0.1, log=True)), "with log=True low must be above 0"),
        (lambda: space(LR, LR), "has two parameters for one field"),
        (lambda: space(Range("optim.momentum", 0.5, 1.5)), "optim.momentum is 1.5"),
        (lambda: space(Range("optim.warmup", 0.0, 20.0)), "optim.warmup is 20 epochs: the run has 10"),
        (lambda: space(Choice("optim.schedule", ("cosine", "step"))), "schedule step needs optim.milestones"),
        (lambda: space(), "has no parameters"),
        (lambda: space(LR, sampler="grid"), "sampler .grid. needs choices"),
        (lambda: space(Choice("test", (False, True))), "test cannot be searched: a search does not use test images"),
        (lambda: space(Range("seed", 0, 5, integer=True)), "seed cannot be searched: every trial runs with the"),
        (lambda: space(Range("seeds.weights", 0, 5, integer=True)), "seeds.weights cannot be searched"),
        (lambda: space(Range("epochs", 1, 4, integer=True)), "epochs cannot be searched: rungs"),
        (lambda: space(Choice("data.score_limit", (10, 20))), "data.score_limit cannot be searched"),
        (lambda: space(LR, sampler="sobol"), "sampler is 'sobol'.*'tpe', 'quasi_random', 'random' or 'grid'"),
        (lambda: space(LR, reference="nobody"), "reference is 'nobody': it must be a cell: wm"),
        (lambda: EarlyStopping("asha"), "stopping.kind is 'asha'.*'none', 'halving' or 'median'"),  # type: ignore[arg-type]
        (lambda: EarlyStopping(first_rung=1.5), "stopping.first_rung is 1.5.*integer"),  # type: ignore[arg-type]
        (lambda: EarlyStopping(factor=1), "2 or more"),
        (lambda: EarlyStopping("none", first_rung=4), "stopping.first_rung has no use in stopping, which is 'none'"),
        (lambda: EarlyStopping("median", factor=4), "stopping.factor has no use in stopping, which is 'median'"),
        (lambda: Budget(3, "epochs"), "budget.unit is 'epochs'.*'trials', 'presentations'"),  # type: ignore[arg-type]
        (lambda: Budget(0), "above 0"),
        (lambda: Budget(float("inf")), "inf trials: it must be above 0 and finite"),
        (lambda: Budget(2.5), "2.5 trials: the number of trials must be an integer"),
        (lambda: space(Range("rule.samples", 4, 8)), "rule.samples is an integer: give its Range integer=True"),
        (lambda: space(DECAY, Range("rule.samples", 4, 8, times="rule.decay")), "it cannot be a multiple"),
        (lambda: space(Range("optim.lr", 0.1, float("inf"))), "optim.lr ranges from 0.1 to inf: both ends must be fin"),
        (lambda: space(Range("rule.samples", 4.5, 8.5, integer=True)), "from 4.5 to 8.5: .*integers"),
        (lambda: space(Range("rule.interval", 0.5, 8, log=True, integer=True)), "rule.interval .*integers"),
        (lambda: space(Range("optim.lr", "a", 1.0)), "Range.'optim.lr'.: low is 'a'"),  # type: ignore[arg-type]
        (lambda: Choice("optim.nesterov", (True, False, True)), "True occurs twice"),
        (lambda: Choice("optim.milestones", ((1.0,), "(1.0,)")), "occurs twice"),
        (lambda: space(GAIN, DECAY), "rule.eta is a multiple of rule.decay: put rule.decay before it"),
        (lambda: space(Range("rule.eta", 1, 2, times="rule.noise")), "rule.noise, which is 'normal': it must be a num"),
        (
            lambda: space(DECAY, GAIN, Range("rule.eta", 0.1, 3)),
            "has two parameters for one field: .*'rule.eta', 'rule.eta'",
        ),
        (lambda: space(STEPS, SCHEDULE), "optim.milestones exists only when .*: put optim.schedule before it"),
        (lambda: space(SCHEDULE, milestones("stepp")), "'stepp', but it can only be 'cosine' or 'step'"),
        (lambda: space(LR, STEPS), "'step', but it can only be 'cosine'$"),
        (lambda: space(LR, Choice("optim.nesterov", (True, False), When("optim.lr", 0.1))), "it is any number from 0"),
        (lambda: SearchSpace("s", "?", (SearchCell("bp", digits(), (LR,)),), Budget(1)), "uses test images"),
        (lambda: space(LR, stopping="none"), r"stopping is 'none': it must be like EarlyStopping\("),
        (
            lambda: SearchSpace("s", "?", (SearchCell("bp", base("bp"), (LR,)),), 20),
            r"budget is 20: it must be like Budget\(",
        ),  # type: ignore[arg-type]
        (
            lambda: SearchSpace("s", "?", SearchCell("bp", base("bp"), (LR,)), Budget(1)),
            "cells is SearchCell.*with a comma",
        ),  # type: ignore[arg-type]
        (lambda: SearchSpace("s", "?", (LR,), Budget(1)), r"cells has Range.*: it must be a SearchCell\("),  # type: ignore[arg-type]
        (lambda: SearchCell("bp", base("bp"), LR), "cell bp: params is Range.*with a comma"),  # type: ignore[arg-type]
        (lambda: digits(Backprop), "rule is <class .*Backprop'>: it must be a Rule, such as KolenPollack"),  # type: ignore[arg-type]
        (lambda: SearchCell("bp", digits, (LR,)), "cell bp: config: it must be a RunConfig, such as"),  # type: ignore[arg-type]
        (
            lambda: SearchSpace("s", "?", (SearchCell("bp", replace(base("bp"), seed=5), (LR,)),), Budget(1)),
            "has seed=5: .*run_seed",
        ),
        (lambda: Study("s", "?", (StudyCell("bp", replace(base("bp"), seed=5)),), (0,)), "has seed=5: leave it out"),
    ],
)
def test_a_space_that_cannot_be_is_refused_in_one_line(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make()  # type: ignore[operator]
    assert "\n" not in str(caught.value)


MANY = tuple(0.1 + n / 100 for n in range(20))


@pytest.mark.parametrize(
    "others",
    [
        (),
        (Choice("optim.lr", MANY), Choice("optim.momentum", MANY)),  # too many combinations to try each
    ],
)
def test_values_that_do_not_go_together_are_refused_before_the_search_and_named(others: tuple[Choice, ...]) -> None:
    apart = (Choice("batch", (64, 24)), Choice("model.norm_group", (None, 16)))
    with pytest.raises(ConfigError) as caught:
        space(*others, *apart)
    words = "cell wm cannot have batch 24, model.norm_group 16: model.norm_group is 16: it must divide batch"
    assert str(caught.value).startswith(words) and "\n" not in str(caught.value)


def test_a_draw_between_two_ends_that_do_go_together_is_tried_too() -> None:
    config = replace(base("bp"), model=replace(base("bp").model, norm_group=16))
    with pytest.raises(ConfigError, match=r"cell bp cannot have batch .*model.norm_group is 16: it must divide batch"):
        SearchCell("bp", config, (Range("batch", 16, 64, integer=True),))


def test_a_grid_takes_each_distinct_combination_once() -> None:
    gridy = space(SCHEDULE, STEPS, Choice("optim.lr", (0.1, 0.2)), sampler="grid", stopping=EarlyStopping("none"))
    [cell] = gridy.cells
    assert cell.grid_size == 6
    decisions = TrialStorage.open(gridy, InMemoryStorage())
    asked = [decisions.ask(cell).values for _ in range(6)]
    assert len({str(values) for values in asked}) == 6
    assert asked[:2] == [{"optim.schedule": "cosine", "optim.lr": lr} for lr in (0.1, 0.2)]
    assert asked[-1] == {"optim.schedule": "step", "optim.milestones": (3.0, 4.0), "optim.lr": 0.2}


def test_the_cell_that_others_are_compared_with_is_bp_or_the_first() -> None:
    assert space(LR).baseline == "wm" and find_space("fair_rules").baseline == "bp"
    assert space_to_json(space(LR, reference="wm"))["reference"] == "wm"


@pytest.mark.parametrize("name", ["a/b", "", ".hidden", "two\nlines"])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"a search is called .*: it may have letters, digits"):
        replace(space(LR), name=name)
    with pytest.raises(ConfigError, match="a study is called"):
        Study(name, "Which is best?", (StudyCell("wm", base()),), seeds=(0,))


def test_a_published_search_keeps_its_key() -> None:
    assert find_space("fair_rules").key == "fair_rules-c92ce15e"  # docs/results.md


def test_the_budget_does_not_make_another_search_but_the_ranges_do() -> None:
    small = space(LR)
    assert replace(small, budget=Budget(99)).key == small.key
    assert space(Range("optim.lr", 0.01, 2.0, log=True)).key != small.key
    assert replace(small, stopping=EarlyStopping("none")).key != small.key


def test_the_command_line_changes_the_base_but_not_what_is_searched() -> None:
    changed = with_options(space(LR), [Override("epochs", "3")], 7, "random", "none")
    assert (changed.cells[0].config.epochs, changed.budget, changed.sampler) == (3, Budget(7), "random")
    assert changed.stopping.kind == "none"
    rungs = replace(space(LR), stopping=EarlyStopping("halving", first_rung=4, factor=2))
    assert with_options(rungs, [], None, None, "none").stopping == EarlyStopping("none")
    assert with_options(rungs, [], None, None, "median").stopping == EarlyStopping("median", first_rung=4)
    assert with_options(rungs, [], None, None, None, 5).stopping == EarlyStopping("halving", first_rung=5, factor=2)
    with pytest.raises(ConfigError, match=r"--optim\.lr is what small searches"):
        with_options(space(LR), [Override("optim.lr", "0.1")], None, None, None)


def test_a_drawn_schedule_leaves_the_recipes_own_steps_behind() -> None:
    on_imagenet = on_recipe(space(SCHEDULE, STEPS), resnet18_imagenet)
    [cell] = on_imagenet.cells
    assert cell.config.optim.milestones == (30.0, 60.0, 80.0)
    assert cell.config_of({"optim.schedule": "cosine"}).optim.milestones == ()
    assert cell.config_of({"optim.schedule": "step", "optim.milestones": (18.0,)}).optim.milestones == (18.0,)
