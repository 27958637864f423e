"""Sentences about gaps, significance and equivalence."""

from pathlib import Path

from analysis.figures.forest import forest_chart
from analysis.frames.study import Frames
from analysis.stats.chance import Chance
from analysis.stats.effects import effects
from analysis.stats.paired import compare_cells
from analysis.tables.comparison import comparison_table
from analysis.text.comparison import comparison_notes, sentences
from tests.support.synthetic_frames import frames_with
from tests.support.synthetic_store import rules_study


def test_a_study_of_one_cell_has_no_comparisons(tmp_path: Path) -> None:
    frames = frames_with(tmp_path, rules_study(names=["bp"], epochs=1))
    assert forest_chart(effects(frames), "test", None) is None
    tests = compare_cells(frames, 1.5)
    assert sentences(tests, 1.5, Chance()) == []
    assert comparison_notes(tests, 1.5).startswith("No comparisons")


def test_sentences_make_claims_only_with_at_least_five_seeds(tmp_path: Path) -> None:
    def error(cell: str, seed: int, epoch: int) -> float:
        return 0.1 + 0.01 * seed + {"bp": 0.0, "kp": 0.001, "fa": 0.3}[cell] + 0.0005 * (seed % 2) * (cell != "bp")

    frames = frames_with(tmp_path / "five", rules_study(names=["bp", "kp", "fa"], seeds=5, epochs=1), error)
    kp, fa = sentences(compare_cells(frames, 1.5), 1.5, Chance.of(frames))
    assert kp.startswith("kp: +0.12 points relative to bp over 5 shared seeds (")
    assert "equivalence to bp within 1.5 points is shown (p < 0.001)" in kp
    assert "more than 1.5 points from bp is shown (p < 0.001)" in fa
    few = frames_with(tmp_path / "three", rules_study(names=["bp", "kp"], seeds=3, epochs=1), error)
    assert (
        "equivalence to bp within 1.5 points is observed on 3 seeds"
        in sentences(compare_cells(few, 1.5), 1.5, Chance.of(few))[0]
    )
    assert "do not support a claim" in comparison_notes(compare_cells(few, 1.5), 1.5)
    two = frames_with(tmp_path / "two", rules_study(names=["bp", "kp"], seeds=2, epochs=1), error)
    assert sentences(compare_cells(two, 1.5), 1.5, Chance.of(two)) == [
        "kp: only 2 seeds shared with bp; a test requires at least 3."
    ]


def test_without_a_margin_no_equivalence_is_claimed(five_rules: Frames) -> None:
    tests = compare_cells(five_rules, None)
    assert "no equivalence is claimed" in comparison_notes(tests, None)
    assert "within" not in " ".join(sentences(tests, None, Chance()))
    assert not any("within" in name for name in comparison_table(tests, None).head)
