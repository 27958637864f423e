"""Parameters that are not valid, and values that contradict each other, are errors before a search starts."""

from dataclasses import replace

import pytest

from nowt.config.recipes import digits
from nowt.core.errors import ConfigError
from nowt.rules.backprop import Backprop
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Choice, Range, When
from tests.support.small_spaces import DECAY, GAIN, LR, SCHEDULE, base, milestones, small_space

MANY = tuple(0.1 + n / 100 for n in range(20))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small_space(Range("optim.lrr", 0, 1)), "there is no field optim.lrr .did you mean optim.lr."),
        (lambda: small_space(Range("rule.decay", 0, 1), rule="kp"), "there is no field rule.decay"),
        (lambda: small_space(Range("rule.eta", 1, 2, times="rule.dekay")), "rule.dekay .did you mean rule.decay"),
        (lambda: small_space(Choice("optim.nesterov", (True,))), "give two or more"),
        (lambda: small_space(Range("optim.lr", 0.1, 0.1)), "low must be below high"),
        (lambda: small_space(Range("optim.lr", 0.0, 0.1, log=True)), "with log=True low must be above 0"),
        (lambda: small_space(LR, LR), "has two parameters for one field"),
        (lambda: small_space(Range("optim.momentum", 0.5, 1.5)), "optim.momentum is 1.5"),
        (lambda: small_space(Range("optim.warmup", 0.0, 20.0)), "optim.warmup is 20 epochs: the run has 10"),
        (lambda: small_space(Choice("optim.schedule", ("cosine", "step"))), "schedule step needs optim.milestones"),
        (lambda: small_space(), "has no parameters"),
        (
            lambda: small_space(Choice("test", (False, True))),
            "test cannot be searched: a search does not use test images",
        ),
        (lambda: small_space(Range("seed", 0, 5, integer=True)), "seed cannot be searched: every trial runs with the"),
        (lambda: small_space(Range("seeds.weights", 0, 5, integer=True)), "seeds.weights cannot be searched"),
        (lambda: small_space(Range("epochs", 1, 4, integer=True)), "epochs cannot be searched: rungs"),
        (lambda: small_space(Choice("data.score_limit", (10, 20))), "data.score_limit cannot be searched"),
        (lambda: small_space(Range("rule.samples", 4, 8)), "rule.samples is an integer: give its Range integer=True"),
        (lambda: small_space(DECAY, Range("rule.samples", 4, 8, times="rule.decay")), "it cannot be a multiple"),
        (
            lambda: small_space(Range("optim.lr", 0.1, float("inf"))),
            "optim.lr ranges from 0.1 to inf: both ends must be fin",
        ),
        (lambda: small_space(Range("rule.samples", 4.5, 8.5, integer=True)), "from 4.5 to 8.5: .*integers"),
        (lambda: small_space(Range("rule.interval", 0.5, 8, log=True, integer=True)), "rule.interval .*integers"),
        (lambda: small_space(Range("optim.lr", "a", 1.0)), "Range.'optim.lr'.: low is 'a'"),  # type: ignore[arg-type]
        (lambda: Choice("optim.nesterov", (True, False, True)), "True occurs twice"),
        (lambda: Choice("optim.milestones", ((1.0,), "(1.0,)")), "occurs twice"),
        (lambda: small_space(GAIN, DECAY), "rule.eta is a multiple of rule.decay: put rule.decay before it"),
        (
            lambda: small_space(Range("rule.eta", 1, 2, times="rule.noise")),
            "rule.noise, which is 'normal': it must be a num",
        ),
        (
            lambda: small_space(DECAY, GAIN, Range("rule.eta", 0.1, 3)),
            "has two parameters for one field: .*'rule.eta', 'rule.eta'",
        ),
        (
            lambda: small_space(milestones("step"), SCHEDULE),
            "optim.milestones exists only when .*: put optim.schedule before it",
        ),
        (lambda: small_space(SCHEDULE, milestones("stepp")), "'stepp', but it can only be 'cosine' or 'step'"),
        (lambda: small_space(LR, milestones("step")), "'step', but it can only be 'cosine'$"),
        (
            lambda: small_space(LR, Choice("optim.nesterov", (True, False), When("optim.lr", 0.1))),
            "it is any number from 0",
        ),
        (
            lambda: small_space(Choice("optim.lr", (0.1, "0.2"))),
            "optim.lr is '0.2' in a Choice: it must be a number, without quotes",
        ),
        (lambda: When(1, "step"), "when.path is 1: it must be a field's dotted path, such as 'optim.schedule'"),  # type: ignore[arg-type]
        (lambda: When("", 1), "when.path is '': it must be a field's dotted path"),
        (lambda: Range("", 0.1, 0.2), "Range: path is '': it must be a field's dotted path"),
        (lambda: Choice(3, (1, 2)), "Choice: path is 3: it must be a field's dotted path"),  # type: ignore[arg-type]
        (
            lambda: Range("optim.lr", 0.1, 0.2, times="optim.lr"),
            "optim.lr is a multiple of itself .times.: leave times out, or name another field",
        ),
        (
            lambda: Range("optim.lr", 1e-320, 0.2, log=True),
            "optim.lr ranges from 1e-320 to 0.2: with log=True low is too small: .*: give 1e-300 or more",
        ),
        (lambda: SearchCell("bp", base("bp"), LR), "cell bp: params is Range.*with a comma"),  # type: ignore[arg-type]
        (lambda: digits(Backprop), "rule is the class Backprop: it must be a Rule, not its class: pass Backprop"),  # type: ignore[arg-type]
        (lambda: SearchCell("bp", digits, (LR,)), "cell bp: config: it must be a RunConfig, such as"),  # type: ignore[arg-type]
    ],
)
def test_an_invalid_parameter_is_an_error_of_one_line(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make()  # type: ignore[operator]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "others",
    [
        (),
        (Choice("optim.lr", MANY), Choice("optim.momentum", MANY)),  # too many combinations to try each
    ],
)
def test_values_that_contradict_each_other_are_an_error_that_names_them(others: tuple[Choice, ...]) -> None:
    apart = (Choice("batch", (64, 24)), Choice("model.norm_group", (None, 16)))
    with pytest.raises(ConfigError) as caught:
        small_space(*others, *apart)
    words = "cell wm cannot have batch 24, model.norm_group 16: model.norm_group is 16: it must divide batch"
    assert str(caught.value).startswith(words) and "\n" not in str(caught.value)


def test_values_inside_a_range_are_checked_too() -> None:
    config = replace(base("bp"), model=replace(base("bp").model, norm_group=16))
    with pytest.raises(ConfigError, match=r"cell bp cannot have batch .*model.norm_group is 16: it must divide batch"):
        SearchCell("bp", config, (Range("batch", 16, 64, integer=True),))


def test_lists_among_choices_are_tuples() -> None:
    lists = Choice("optim.milestones", ([6.0], [8.0, 9.0]), when=When("optim.schedule", "step"))  # type: ignore[arg-type]
    tuples = Choice("optim.milestones", ((6.0,), (8.0, 9.0)), when=When("optim.schedule", "step"))
    assert lists == tuples and lists.labels == tuples.labels == ("(6.0,)", "(8.0, 9.0)")
    keys = {small_space(SCHEDULE, param).key for param in (lists, tuples)}
    assert len(keys) == 1
    with pytest.raises(ConfigError, match="occurs twice"):
        Choice("optim.milestones", ([6.0], (6.0,)))  # type: ignore[arg-type]
