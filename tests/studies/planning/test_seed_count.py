"""The seeds in ``nowt plan``: how many a gap needs, from earlier runs or from a given deviation."""

from dataclasses import replace
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.core.errors import ConfigError
from nowt.studies.claim import Claim
from nowt.studies.planning.seed_count import TargetGap, earlier_deviations, seed_count_lines
from nowt.studies.study import Study
from tests.support.synthetic_store import rules_study, write_store


def error(cell: str, seed: int, epoch: int) -> float:
    """kp's gap to bp is 1, 2 and 3 points with seeds 0, 1 and 2: its deviation is 1 point."""
    return 0.2 + 0.05 * seed + (0.01 * (seed + 1) if cell == "kp" else 0.0)


def test_the_deviation_comes_from_gaps_of_earlier_runs_paired_by_seed(tmp_path: Path) -> None:
    earlier = write_store(tmp_path, rules_study("first", names=["bp", "kp"], epochs=2), error=error)
    planned = rules_study("next", names=["bp", "kp", "fa"], epochs=2)
    found = earlier_deviations(tmp_path, planned)
    assert found["kp"].deviation == pytest.approx(1.0)
    assert (found["kp"].pairs, found["kp"].study) == (3, earlier.key)
    assert "fa" not in found
    first, kp, fa = seed_count_lines(planned, tmp_path, TargetGap(gap=2.0))
    assert "Seeds for a gap of 2 points to bp" in first
    assert "over 2 comparisons" in first
    assert kp.startswith("  kp: 6 seeds to detect it, ")
    assert f"(deviation 1 point, from 3 pairs of {earlier.key}). It may be as large as 3.08: then" in kp
    assert "give --deviation POINTS" in fa


def test_runs_with_another_length_or_model_or_one_common_seed_are_ignored(tmp_path: Path) -> None:
    write_store(
        tmp_path, rules_study("first", names=["bp", "kp"], epochs=2), error=error, missing=[("kp", 0), ("kp", 1)]
    )
    assert earlier_deviations(tmp_path, rules_study("next", names=["bp", "kp"], epochs=2)) == {}
    assert earlier_deviations(tmp_path, rules_study("next", names=["bp", "kp"], epochs=3)) == {}


def test_a_diverged_run_counts_at_chance(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study("first", names=["bp", "kp"], epochs=2), error=error, diverged={("kp", 0): 1})
    gaps = [90 - 20, 2, 3]
    mean = sum(gaps) / 3
    expected = (sum((gap - mean) ** 2 for gap in gaps) / 2) ** 0.5
    found = earlier_deviations(tmp_path, rules_study("next", names=["bp", "kp"], epochs=2))
    assert found["kp"].deviation == pytest.approx(expected)


def test_pairs_of_runs_at_chance_give_no_deviation(tmp_path: Path) -> None:
    def guesses(cell: str, seed: int, epoch: int) -> float:
        return error(cell, seed, epoch) if seed else 0.895 + 0.001 * (cell == "kp")

    planned = rules_study("next", names=["bp", "kp"], epochs=2)
    write_store(tmp_path / "one", rules_study("first", names=["bp", "kp"], epochs=2), error=guesses)
    assert earlier_deviations(tmp_path / "one", planned)["kp"].pairs == 2
    write_store(
        tmp_path / "all", rules_study("first", names=["bp", "kp"], epochs=2), error=lambda *_: guesses("", 0, 0)
    )
    assert earlier_deviations(tmp_path / "all", planned) == {}
    assert "epochs learned; give --deviation" in seed_count_lines(planned, tmp_path / "all", TargetGap(gap=2.0))[1]


def test_a_given_deviation_needs_no_runs(tmp_path: Path) -> None:
    study = rules_study(names=["bp", "kp"])
    _, line = seed_count_lines(study, tmp_path, TargetGap(gap=1.5, deviation=0.8))
    assert line == "  kp: 5 seeds to detect it, 5 seeds to show equality within it (deviation 0.8 points)"


def test_equality_at_a_true_gap_takes_more_seeds_and_a_claim_fewer(tmp_path: Path) -> None:
    study = rules_study(names=["bp", "kp", "wm"])
    target = TargetGap(gap=1.5, deviation=1.0, true_gap=0.5)
    (_, line) = seed_count_lines(study, tmp_path, target)
    shown = "10 seeds to show equality within it at a true gap of 0.5 points (deviation 1 point)"
    assert line == f"  kp, wm: 7 seeds to detect it, {shown}"
    (_, claimed, _) = seed_count_lines(replace(study, claim=Claim(("kp",), 1.5)), tmp_path, target)
    assert "together" not in claimed
    shown = "8 seeds to show equality within it as the study claims at a true gap of 0.5 points (deviation 1 point)"
    assert claimed == f"  kp: 7 seeds to detect it, {shown}"


def test_the_power_is_per_cell_and_all_cells_of_a_claim_together_take_more_seeds(tmp_path: Path) -> None:
    study = replace(rules_study(names=["bp", "kp", "wm", "fa"]), claim=Claim(("kp", "wm"), 1.5))
    head, claimed, _, together = seed_count_lines(study, tmp_path, TargetGap(1.5, 1.0, true_gap=0.5))
    assert "power 80 % per cell" in head and "8 seeds to show equality" in claimed
    assert (
        together == "  kp and wm together, with power 80 %: 11 seeds, since each cell then has a power of 90 % or more"
    )
    write_store(tmp_path, rules_study("first", names=["bp", "kp"], epochs=2), error=error)
    lines = seed_count_lines(study_of(2, study), tmp_path, TargetGap(1.5, true_gap=0.5))
    assert lines[-1] == "  kp and wm together, with power 80 %: unknown without the deviation of wm"


def study_of(epochs: int, study: Study) -> Study:
    cells = tuple(replace(cell, config=replace(cell.config, epochs=epochs)) for cell in study.cells)
    return replace(study, cells=cells)


def test_the_largest_deviation_counts_seeds_for_equality_too(tmp_path: Path) -> None:
    def spread(cell: str, seed: int, epoch: int) -> float:
        return 0.2 + (0.024 * seed if cell == "kp" else 0.0)  # a deviation of 2.4 points over three seeds

    write_store(tmp_path, rules_study("first", names=["bp", "kp"], epochs=2), error=spread)
    study = rules_study("next", names=["bp", "kp"], epochs=2)
    for claim in (None, Claim(("kp",), 5.0)):
        _, line = seed_count_lines(replace(study, claim=claim), tmp_path, TargetGap(5.0, true_gap=3.0))
        assert line.endswith("It may be as large as 7.39: then 20 seeds to detect it, 86 seeds to show equality")


def test_without_a_gap_the_detectable_gap_is_printed(tmp_path: Path) -> None:
    study = rules_study(names=["bp", "kp"])
    (line,) = seed_count_lines(study, tmp_path, TargetGap())
    assert line.startswith("Seeds: 3 detect a gap 3.3 times as large as its deviation over seeds")
    (few,) = seed_count_lines(replace(study, seeds=(0, 1)), tmp_path, TargetGap())
    assert few.startswith("Seeds: 2 seeds give no interval and no test")
    assert seed_count_lines(rules_study(names=["bp"]), tmp_path, TargetGap()) == []


@pytest.mark.parametrize(
    ("gap", "deviation", "sentence"),
    [
        (0.0, None, "--gap is 0.0: it must be above 0"),
        (float("nan"), None, "--gap is nan"),
        (1.0, 101.0, "--deviation is 101.0"),
        (None, 1.0, "--deviation needs --gap POINTS"),
    ],
)
def test_a_target_gap_out_of_range_is_refused(gap: float | None, deviation: float | None, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        TargetGap(gap, deviation)


@pytest.mark.parametrize("true_gap", [-0.1, 1.5, float("nan")])
def test_a_true_gap_beyond_the_margin_is_refused(true_gap: float) -> None:
    with pytest.raises(ConfigError, match=r"--true-gap is .*: it must be at least 0 and below --gap, 1.5"):
        TargetGap(1.5, true_gap=true_gap)
    with pytest.raises(ConfigError, match="--true-gap needs --gap POINTS"):
        TargetGap(true_gap=0.5)


def test_the_command_line_refuses_a_negative_gap(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "rules_on_digits", "--gap", "-1"]) == 2
    assert capsys.readouterr().err == "nowt: --gap is -1.0: it must be above 0 and at most 100 points\n"
