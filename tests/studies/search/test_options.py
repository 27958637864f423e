"""The options of nowt search that change a space."""

from dataclasses import replace

import pytest

from nowt.config.field_names import Override
from nowt.config.published_recipes import mnist_mlp_authors
from nowt.core.errors import ConfigError
from nowt.studies.search.options import shrink_space, with_options, with_recipe
from nowt.studies.search.params import Choice, Range, When
from nowt.studies.search.space import Budget, EarlyStopping
from nowt.studies.search.transfer import Target
from tests.support.small_spaces import LR, small_space


def test_with_quick_warm_up_and_milestones_keep_their_share_of_the_run() -> None:
    milestones = Choice("optim.milestones", ((5.0,), (7.0, 9.0)), when=When("optim.schedule", "step"))
    full = small_space(Range("optim.warmup", 0.0, 2.0), Choice("optim.schedule", ("cosine", "step")), milestones)
    [cell] = shrink_space(full).cells
    assert cell.config.epochs == 2 and cell.params[0].extremes == (0.0, 0.4)
    assert cell.params[2].extremes == ((1.0,), pytest.approx((1.4, 1.8)))
    [cell] = shrink_space(small_space(Choice("optim.warmup", (0.0, 1.0, 5.0)))).cells
    assert cell.params[0].extremes == (0.0, 0.2, 1.0)


def test_over_a_recipe_without_validation_images_a_search_holds_some_out() -> None:
    [cell] = with_recipe(small_space(LR), mnist_mlp_authors).cells
    assert cell.config.data.hold_out and not cell.config.test and not cell.config.data.shuffle
    assert Target("mnist_mlp_authors", mnist_mlp_authors).with_rule(cell.config.rule).data.hold_out


def test_options_change_base_configs_but_not_searched_fields() -> None:
    changed = with_options(small_space(LR), [Override("epochs", "3")], 7, "random", "none")
    assert (changed.cells[0].config.epochs, changed.budget, changed.sampler) == (3, Budget(7), "random")
    assert changed.stopping.kind == "none"
    rungs = replace(small_space(LR), stopping=EarlyStopping("halving", first_rung=4, factor=2))
    assert with_options(rungs, [], None, None, "none").stopping == EarlyStopping("none")
    assert with_options(rungs, [], None, None, "median").stopping == EarlyStopping("median", first_rung=4)
    assert with_options(rungs, [], None, None, None, 5).stopping == EarlyStopping("halving", first_rung=5, factor=2)
    with pytest.raises(ConfigError, match=r"data\.hold_out is False, so validation images are trained on"):
        with_options(small_space(LR), [Override("data.hold_out", "false")], None, None, None)
    with pytest.raises(ConfigError, match=r"--optim\.lr cannot be used with a search: 'small' searches this field"):
        with_options(small_space(LR), [Override("optim.lr", "0.1")], None, None, None)
