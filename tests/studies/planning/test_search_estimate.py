"""The estimates of ``nowt plan`` for a search space."""

import re
from dataclasses import replace

import pytest

from nowt.cli.main import main
from nowt.config.placement import Placement
from nowt.studies.planning.search_estimate import plan_search
from nowt.studies.planning.seed_count import TargetGap
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.confirmation import Confirm
from nowt.studies.search.options import shrink_space
from nowt.studies.search.space import Budget, SearchSpace
from tests.support.small_spaces import LR, base

CELLS = tuple(SearchCell(rule, base(rule), (LR,)) for rule in ("bp", "wm"))

SPACE = shrink_space(SearchSpace("tuned", "Which is best?", CELLS, Budget(3)))


def planned(space: SearchSpace, target: TargetGap | None = None) -> str:
    return plan_search(space, Placement(), target or TargetGap())


def test_a_plan_counts_the_runs_of_the_best_settings() -> None:
    page = planned(replace(SPACE, confirm=Confirm(settings=2, seeds=2, pick_seeds=8)))
    assert page.startswith(f"search {SPACE.key}: 30 runs, ")
    assert "trials: 6, within 3 trials per cell" in page
    assert "confirmation: 8 runs, the best 2 settings of each cell on 2 new seeds, scored on validation images" in page
    assert "picks: 16 runs, one setting of each cell on 8 seeds that chose nothing, scored on test images" in page
    assert "Seeds: 8 detect a gap" in page


def test_a_single_setting_has_no_runs_that_choose() -> None:
    page = planned(replace(SPACE, confirm=Confirm(1)), TargetGap(1.0, 1.0))
    assert ": 12 runs, " in page and "confirmation" not in page
    assert "picks: 6 runs, one setting of each cell on 3 new seeds" in page and "Seeds for a gap of 1 point" in page


def test_a_confirmation_of_more_settings_than_trials_counts_those_that_exist() -> None:
    page = planned(replace(SPACE, confirm=Confirm(settings=50, seeds=2, pick_seeds=8)))
    assert ": 34 runs, " in page  # 6 trials, 12 that choose, 16 of the picks
    assert "confirmation: 12 runs, the best 3 settings of each cell (of 50 that the space states) on 2 new" in page


def test_a_space_without_a_confirmation_is_its_trials() -> None:
    page = planned(SPACE)
    assert ": 6 runs, " in page and "no runs of the best settings" in page and "Seeds" not in page


def test_a_budget_in_images_buys_as_many_trials_as_it_pays() -> None:
    budget = Budget(100 * 256 * 4 * 2, "presentations")  # of 100 trials with 256 images, each shown 4 times, 2 epochs
    page = planned(replace(SPACE, budget=budget))
    trials = dict(re.findall(r"^(bp|wm) +2 +(\d+) ", page, re.MULTILINE))
    assert trials["bp"] == "100" and int(trials["wm"]) < 100  # mirror samples count as images
    assert re.search(r"trials: about 1\d\d, within 204,800 presentations per cell", page)


def test_the_command_plans_a_shipped_space(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "fair_rules", "--quick"]) == 0
    assert capsys.readouterr().out.startswith("search fair_rules_quick-")
    assert main(["plan", "fair_rules", "--seeds", "3"]) == 2
    assert "--seeds 3 has no effect on a search space: leave it out" in capsys.readouterr().err
    for share in ("0", "-1", "1.5", "nan"):
        assert main(["plan", "fair_rules", "--mirror-share", share]) == 2
        assert f"--mirror-share is {share}: it must lie above 0 and below 1" in capsys.readouterr().err


def test_a_plan_says_what_alignment_the_base_settings_of_each_cell_let_expect() -> None:
    cells = (SearchCell("fa", base("fa"), (LR,)), *CELLS)
    page = plan_search(replace(SPACE, cells=cells), Placement(), TargetGap(), mirror_share=1e-6)
    rows = {line.split()[0]: line for line in page.splitlines() if line}
    assert "none: B is fixed" in rows["fa"]
    assert re.search(r"\d+° before learning, \d+° halfway, \d+° at the end; mirror mode", rows["wm"])
    assert re.search(r"^wm: mirror mode takes \d+ % of all operations; ", page, re.MULTILINE)


def test_a_space_whose_seed_draws_the_split_is_planned() -> None:
    cells = tuple(replace(c, config=replace(c.config, data=replace(c.config.data, split="by_seed"))) for c in CELLS)
    assert ": 6 runs, " in planned(replace(SPACE, cells=cells))
