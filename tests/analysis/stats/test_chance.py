"""Cells that ended at chance: no comparison, no equivalence, and figures that say so."""

from pathlib import Path
from typing import Any

import pytest

from analysis.figures.alignment import alignment_chart
from analysis.figures.angle_depth import angle_depth_chart
from analysis.figures.angle_error import angle_error_chart
from analysis.figures.angle_map import angle_map_chart
from analysis.figures.curves import curves_chart
from analysis.figures.error_cost import error_cost_chart
from analysis.figures.forest import forest_chart
from analysis.figures.norm_ratio import norm_ratio_chart
from analysis.frames.study import Frames
from analysis.stats.chance import Chance, outcome_counts
from analysis.stats.effects import effects
from analysis.stats.paired import compare_cells
from analysis.stats.typical import typical_gaps
from analysis.tables.comparison import comparison_table, typical_table
from analysis.tables.errors import errors_table
from analysis.tables.final import final_table, to_markdown
from analysis.tables.writers import markdown
from analysis.text.comparison import sentences
from nowt.store.chance import AT_CHANCE, TOO_FEW_IMAGES
from tests.support.synthetic_frames import frames_of, text_of
from tests.support.synthetic_store import CHANCE, rules_study

SEEDS = 8


def error(cell: str, seed: int, epoch: int) -> float:
    """bp and fa end near chance, ss with two seeds; kp learns."""
    noise = 0.002 * ((7 * seed + len(cell)) % 5)
    guesses = cell in ("bp", "fa") or (cell == "ss" and seed < 2)
    return CHANCE - noise if guesses or epoch == 0 else 0.2 - noise * (1 + seed % 2)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Four rules with eight seeds; one run of fa diverged."""
    study = rules_study(names=["bp", "fa", "ss", "kp"], seeds=SEEDS, epochs=2)
    return frames_of(tmp_path_factory.mktemp("chance"), study, error=error, layers=2, diverged={("fa", 2): 1})


def test_runs_are_counted_by_how_they_ended(frames: Frames) -> None:
    counts = outcome_counts(frames).set_index("cell")[["n", "diverged", "at_chance"]]
    assert counts.T.to_dict("list") == {"bp": [8, 0, 8], "fa": [8, 1, 7], "ss": [8, 0, 2], "kp": [8, 0, 0]}
    chance = Chance.of(frames)
    pairs = [("fa", "bp"), ("ss", "bp"), ("fa", "unknown")]
    assert chance.void(pairs) == {("fa", "bp"): AT_CHANCE}
    assert chance.void_in_all(pairs[:1]) == AT_CHANCE and not chance.void_in_all(pairs)
    assert [chance.pairs(cell, "bp")[AT_CHANCE] for cell in ("ss", "kp")] == [2, 0]


def test_two_cells_at_chance_are_not_compared(frames: Frames) -> None:
    tests = compare_cells(frames, 5.0).set_index("cell")
    fa, kp = tests.loc["fa"], tests.loc["kp"]
    assert fa["verdict"] == AT_CHANCE and kp["verdict"] == "beyond"
    assert fa[["low", "high", "p", "p_holm", "p_flip", "g_z", "g_low", "p_verdict"]].isna().all()
    alone = compare_cells(frames, None).set_index("cell")["p_holm"]
    assert alone["kp"] <= 2 * tests.loc["kp", "p"]  # Holm's correction over ss and kp, which are tested


def test_the_sentences_say_that_no_comparison_is_meaningful(frames: Frames) -> None:
    for margin in (None, 5.0):
        fa, ss, kp = sentences(compare_cells(frames, margin), margin, Chance.of(frames))
        assert fa == "fa: both fa and bp ended at chance (8 shared seeds); no comparison is meaningful."
        assert ss.endswith("; both ended at chance with 2 of these seeds.") and "chance" not in kp


def test_the_tables_say_that_both_cells_are_at_chance(frames: Frames) -> None:
    tests, table = compare_cells(frames, 5.0), final_table(frames)
    lines = [
        markdown(comparison_table(tests, 5.0)).splitlines()[2],
        markdown(errors_table(frames, table, tests, 5.0, "test")).splitlines()[3],
        to_markdown(table, "bp", "test", Chance.of(frames)).splitlines()[3],
    ]
    for line in lines:
        assert " fa |" in line and "(both at chance) | – |" in line and "equivalen" not in line
    assert lines[0].endswith("| – |\n".strip()) and lines[1].endswith("| – | 1 of 8 diverged, 7 of 8 at chance |")
    assert lines[2].endswith("| 1 of 8 diverged, 7 of 8 at chance |")
    typical = typical_table(typical_gaps(frames))
    assert typical is not None
    [(gap, interval)] = [line[-2:] for line in typical.lines if line[0] == "fa"]
    assert gap.endswith("(both at chance)") and interval == "–"


def test_the_forest_plot_marks_effects_between_cells_at_chance(frames: Frames) -> None:
    found = effects(frames).table.set_index("cell")
    assert found["void"].to_dict() == {"fa": AT_CHANCE, "ss": "", "kp": ""}
    assert found["low"].isna().to_dict() == {"fa": True, "ss": False, "kp": False}
    assert "fa (both at chance)" in text_of(forest_chart(effects(frames), "test", None))


@pytest.mark.parametrize(
    "chart", [alignment_chart, angle_depth_chart, angle_error_chart, curves_chart, error_cost_chart]
)
def test_figures_label_cells_with_runs_at_chance(frames: Frames, chart: Any) -> None:
    text = text_of(chart(frames))
    assert "ss (2 of 8 at chance)" in text and "kp (" not in text


@pytest.mark.parametrize("chart", [angle_map_chart, norm_ratio_chart])
def test_figures_with_small_panels_name_such_cells_in_the_caption(frames: Frames, chart: Any) -> None:
    text = " ".join(text_of(chart(frames)).split())
    assert "fa: 1 of 8 diverged, 7 of 8 at chance" in text and "ss: 2 of 8 at chance" in text


VALIDATION, TEST = {"validation": 16, "test": 1000}, {"validation": 1000, "test": 16}


def unclear(cell: str, seed: int, epoch: int) -> float:
    """bp and fa name 3 of 16 images correctly, which is above chance and may be luck; kp names 11 to 13."""
    return (3 + seed) / 16 if cell == "kp" and epoch else 13 / 16


def test_cells_with_too_few_images_are_not_compared_and_every_output_says_so(tmp_path: Path) -> None:
    study = rules_study(names=["bp", "fa", "kp"], seeds=3, epochs=1)
    frames = frames_of(tmp_path, study, error=unclear, layers=2, images=TEST)
    table, chance, tests = final_table(frames), Chance.of(frames), compare_cells(frames, 5.0)
    assert tests.set_index("cell")["verdict"].to_dict() == {"fa": TOO_FEW_IMAGES, "kp": "beyond"}
    fa, kp = sentences(tests, 5.0, chance)
    assert fa.startswith("fa: fa and bp have too few images to tell either from chance (3 shared seeds);")
    assert "chance" not in kp
    line = to_markdown(table, "bp", "test", chance).splitlines()[3]
    assert "(too few images to tell from chance) | – |" in line
    assert line.endswith("| 3 of 3 with too few images to tell from chance |")
    text = text_of(forest_chart(effects(frames), "test", None))
    assert "fa (too few images to tell from chance)" in text and "kp (" not in text
    assert "fa (3 of 3 with too few images" in text_of(curves_chart(frames))


def test_chance_is_judged_on_the_split_whose_errors_are_shown(tmp_path: Path) -> None:
    study = rules_study(names=["bp", "kp"], seeds=3, epochs=1)
    for images, test, column in ((TEST, True, "too_few_images"), (VALIDATION, False, "too_few_images")):
        frames = frames_of(tmp_path / column / str(test), study, error=unclear, images=images, test=test)
        assert outcome_counts(frames).set_index("cell")[column].to_dict() == {"bp": 3, "kp": 0}
    learned = frames_of(tmp_path / "learned", study, error=unclear, images=VALIDATION)
    assert outcome_counts(learned)[["at_chance", "too_few_images"]].to_numpy().sum() == 0
