"""The test of a claim: its verdicts, what it needs, and what the report says about it."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.figures.forest import effects_chart
from analysis.figures.options import Options
from analysis.frames.study import Frames
from analysis.report.study import report
from analysis.stats.claim import ClaimTest, claim_test
from analysis.stats.layers import late_delta_angles
from analysis.stats.paired import compare_cells
from analysis.tables.claim import claim_markdown
from analysis.text.claim import claim_method, overall_verdict
from analysis.text.methods import methods
from nowt.config.run_config import RunConfig
from nowt.rules.registry import find_rule
from nowt.studies.claim import Claim
from nowt.studies.study import Cell, Study
from tests.support.synthetic_frames import frames_in, frames_of, text_of
from tests.support.synthetic_store import rules_study, write_store

CLAIM = Claim(("wm", "kp"), margin=1.5)

GAPS = {"bp": 0.0, "wm": 0.005, "kp": 0.002, "fa": 0.1}  # of the mean errors

LUCK = (-0.004, 0.003, 0.001, -0.002, 0.004, -0.001, 0.002, -0.003)  # by seed


def error(cell: str, seed: int, epoch: int) -> float:
    """A test error whose gap to bp varies over seeds."""
    return 0.1 + GAPS[cell] + (cell != "bp") * LUCK[seed] if epoch else 0.9


def claimed(claim: Claim | None = CLAIM, seeds: int = 8) -> Study:
    return replace(rules_study(names=["bp", "fa", "wm", "kp"], seeds=seeds, epochs=4), claim=claim)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Four rules, eight seeds, four epochs, with a claim about wm and kp."""
    return frames_of(tmp_path_factory.mktemp("store"), claimed(), error=error)


def judged(frames: Frames, claim: Claim = CLAIM) -> ClaimTest:
    test = claim_test(replace(frames, study=replace(frames.study, claim=claim)))
    assert test is not None
    return test


def words(frames: Frames, claim: Claim = CLAIM, margin: float | None = None) -> str:
    return claim_markdown(judged(frames, claim), margin)


def with_state(frames: Frames, state: str, cell: str, seeds: Any) -> Frames:
    runs = frames.runs.copy()
    runs.loc[(runs["cell"] == cell) & runs["seed"].isin(seeds), "state"] = state
    return replace(frames, runs=runs)


def with_angle(frames: Frames, value: float, where: str) -> Frames:
    layers = frames.layers.copy()
    layers.loc[layers.eval(where), "delta_angle"] = value
    return replace(frames, layers=layers)


def test_a_claim_is_shown_if_every_cell_passes_both_one_sided_tests(frames: Frames) -> None:
    test = judged(frames)
    assert test.verdict == "shown" and list(test.table["verdict"]) == ["shown", "shown"]
    row = test.table.iloc[0]
    mean, deviation = 0.5, 100 * (sum(x * x for x in LUCK) / 7) ** 0.5
    assert row["mean"] == pytest.approx(mean) and row["n"] == row["seeds"] == 8
    half = 1.8945786 * deviation / 8**0.5  # t of 7 degrees of freedom at 0.95
    assert (row["low"], row["high"]) == (pytest.approx(mean - half), pytest.approx(mean + half))
    assert row["p_above"] < row["p_below"] < 0.05
    text = words(frames)
    assert text.startswith("**Claim: wm and kp are each within 1.5 points of bp. Shown.**")
    assert "- wm: shown; gap +0.50 points; 90 % interval " in text and "(below +1.5)" in text


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (Claim(("fa", "kp"), 1.5), "- fa: not shown: a gap of more than 1.5 points is shown (p < 0.001)"),
        (Claim(("wm", "kp"), 0.6), "- wm: not shown: whether the gap is within 0.6 points is undecided"),
    ],
)
def test_a_claim_is_not_shown_if_one_cell_fails(frames: Frames, claim: Claim, reason: str) -> None:
    test = judged(frames, claim)
    assert test.verdict == "not shown" and overall_verdict(test) == f"not shown ({claim.cells[0]})"
    assert reason in words(frames, claim)


def test_a_claim_is_about_the_studys_reference_and_not_about_a_counterpart(tmp_path: Path) -> None:
    errors = {"bp tuned": 0.1, "bp low": 0.3, "kp low": 0.302}
    configs = {name: RunConfig(rule=find_rule(name[:2])(), epochs=2) for name in errors}
    low = {name: replace(config, batch=10) if "low" in name else config for name, config in configs.items()}
    cells = tuple(Cell(name, config) for name, config in low.items())
    study = Study("s", "?", cells, tuple(range(8)), "bp tuned", claim=Claim(("kp low", "bp low"), 1.5))
    test = claim_test(frames_of(tmp_path, study, error=lambda cell, seed, epoch: errors[cell] + LUCK[seed] * len(cell)))
    assert test is not None and test.verdict == "not shown"
    assert list(test.table["against"]) == ["bp tuned", "bp tuned"]
    assert list(test.table["mean"]) == [pytest.approx(20.2), pytest.approx(20.0)]
    assert "kp low and bp low are each within 1.5 points of bp tuned" in claim_method(test)


def test_the_angle_is_that_of_the_second_half_of_training(frames: Frames) -> None:
    rows = frames.layers.query("cell == 'wm' and epoch in (3, 4) and depth < 2")  # the output layer's is always 0
    expected = rows.groupby(["seed", "epoch"])["delta_angle"].median().groupby("seed").mean()
    found = late_delta_angles(frames).query("cell == 'wm'").set_index("seed")["delta_angle"]
    assert found.to_dict() == pytest.approx(expected.to_dict())
    assert judged(frames).table["delta_angle"][0] == pytest.approx(expected.mean())


def test_a_cell_whose_angle_is_too_large_or_undefined_is_not_tested(frames: Frames) -> None:
    claim = Claim(("wm", "kp"), 1.5, max_delta_angle=50.0)
    assert judged(frames, claim).verdict == "shown"
    large = with_angle(frames, 64.2, "cell == 'kp' and epoch > 2")
    assert judged(large, claim).verdict == "not tested"
    assert "- kp: not tested: the δ angle is 64°, the claim needs less than 50°; gap +0.20 points" in words(
        large, claim
    )
    assert judged(large, claim).table["p_above"].isna().to_list() == [False, True]
    early = with_angle(frames, math.nan, "cell == 'kp' and epoch <= 2")
    assert judged(early, claim).verdict == "shown"
    holed = with_angle(frames, math.nan, "cell == 'kp' and epoch == 4 and seed == 3 and depth == 0")
    assert "- kp: not tested: the δ angle is undefined in 1 run, the claim needs" in words(holed, claim)
    without = replace(frames, layers=frames.layers.query("cell != 'kp' or seed > 1"))
    assert "- kp: not tested: 2 runs measured no δ angle in the second half of training" in words(without, claim)
    assert judged(holed).verdict == "shown"  # without a condition


def test_unfinished_runs_give_an_interim_result_without_a_verdict(frames: Frames) -> None:
    some = with_state(frames, "running", "bp", range(3, 8))
    test, text = judged(some), words(some)
    assert test.verdict == "interim" and test.table[["p_above", "p_below", "p_beyond"]].isna().all(axis=None)
    assert "Interim: 3 of 8 seeds, no verdict.**" in text and "- wm: interim: 3 of 8 seeds; gap " in text
    assert "This is an interim look" in text and "one-sided p =" not in text and "one-sided p <" not in text
    failed = with_state(frames, "failed", "kp", [0])
    assert "- kp: interim: 7 of 8 seeds, 1 run failed" in words(failed) and "- wm: shown" in words(failed)
    assert judged(failed).verdict == "interim"


def test_a_claim_with_a_run_at_chance_or_few_or_equal_seeds_is_not_tested(frames: Frames, tmp_path: Path) -> None:
    few = frames_of(tmp_path / "few", claimed(seeds=2), error=error)
    assert "- wm: not tested: 2 seeds, a test requires at least 3" in words(few)
    diverged = frames_of(tmp_path / "diverged", claimed(), error=error, diverged={("wm", 1): 2})
    assert "- wm: not tested: 1 run of wm or bp diverged or ended at chance; gap" in words(diverged)
    images = {"validation": 16, "test": 16}
    tiny = frames_of(tmp_path / "tiny", claimed(), error=lambda cell, seed, epoch: (12 + seed % 2) / 16, images=images)
    assert "- wm: not tested: 16 runs of wm or bp with too few images to tell from chance" in words(tiny)
    equal = frames_of(tmp_path / "equal", claimed(), error=lambda cell, seed, epoch: 0.1 + 0.01 * seed)
    assert "- kp: not tested: the gap is the same for every seed" in words(equal)


def test_a_study_without_a_claim_has_no_test(frames: Frames) -> None:
    assert claim_test(replace(frames, study=replace(frames.study, claim=None))) is None


def test_the_report_shows_the_claim_in_its_text_table_figure_and_methods(tmp_path: Path) -> None:
    write_store(tmp_path, claimed(), layers=2, error=error)
    found, out = report(tmp_path, None, tmp_path / "out"), tmp_path / "out"
    claim = "wm and kp are each within 1.5 points of bp"
    assert found.text.startswith(f"**Claim: {claim}. Shown.**") and "--margin" not in found.text
    page = (out / "report.md").read_text()
    assert page.index("**Claim: ") < page.index("| cell | rule | seeds |") < page.index("| all cells |")
    assert f"<strong>Claim: {claim}. Shown.</strong>" in (out / "report.html").read_text()
    assert f"Claim of the study: {claim} (two one-sided paired t tests per cell at" in (out / "methods.md").read_text()
    assert "all cells" in (out / "claim.csv").read_text()


def test_another_margin_of_the_report_is_not_that_of_the_claim(frames: Frames) -> None:
    assert "--margin 1 applies to the comparisons; the claim keeps its margin of 1.5 points." in words(
        frames, margin=1.0
    )
    assert "keeps its margin" not in words(frames, margin=1.5)
    caption = text_of(effects_chart(frames, Options(margin=1.0)))
    assert "margin of 1 point" in caption and "within 1.5 points" in " ".join(caption.split())
    assert "margin of 1.5 points" in " ".join(text_of(effects_chart(frames, Options())).split())


@pytest.mark.parametrize(
    ("time", "sentence", "phrase"),
    [
        (
            1,
            "The claim was recorded before the first run began.",
            "Claim of the study, recorded before the first run: ",
        ),
        (
            2**50,
            "The claim was recorded after 6 runs had begun, so it was not stated beforehand.",
            "after runs had begun",
        ),
        (None, "It is unknown when the claim was recorded.", "Claim of the study: "),
    ],
)
def test_the_report_says_whether_the_claim_was_stated_before_the_runs(
    tmp_path: Path, time: int | None, sentence: str, phrase: str
) -> None:
    study = replace(rules_study(names=["bp", "kp"], epochs=1), claim=Claim(("kp",), 1.5))
    write_store(tmp_path, study, layers=1)
    path = tmp_path / "studies" / f"{study.key}.json"
    recorded = {} if time is None else {"claimed": time}
    path.write_text(json.dumps(json.loads(path.read_text()) | recorded))
    test = claim_test(frames_in(tmp_path))
    assert test is not None and sentence in claim_markdown(test, None) and phrase in claim_method(test)


def recorded(store: Path, study: Study, **fields: Any) -> None:
    """Add these fields to the file of a study."""
    path = store / "studies" / f"{study.key}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_the_report_says_which_seeds_were_added_after_the_claim(tmp_path: Path) -> None:
    write_store(tmp_path, study := claimed(), layers=1, error=error)
    for planned, added in ((range(8), ""), (range(7), "1 seed (7) was added"), (range(6), "2 seeds (6, 7) were added")):
        recorded(tmp_path, study, claimed=1, claimed_seeds=[*planned])
        found, out = report(tmp_path, None, tmp_path / "out"), tmp_path / "out"
        sentence = f"{added} after the claim was recorded"
        for text in (found.text, (out / "claim.md").read_text(), (out / "methods.md").read_text()):
            assert (sentence in text) == bool(added) and ("added after" in text) == bool(added)
        assert ("inflates the error of the test above 5 %" in found.text) == bool(added)


def test_a_late_claim_is_named_beside_its_table(tmp_path: Path) -> None:
    write_store(tmp_path, study := claimed(), layers=1, error=error)
    recorded(tmp_path, study, claimed=2**50)
    report(tmp_path, None, tmp_path / "out")
    assert "; the claim was recorded after 32 runs had begun\n" in (tmp_path / "out" / "claim.md").read_text()


def test_the_methods_paragraph_states_the_condition_on_the_angle(frames: Frames) -> None:
    test = judged(frames, Claim(("kp",), 1.5, 60.0))
    text = methods(frames, compare_cells(frames, None), None, test)
    assert "kp is within 1.5 points of bp" in text and "is below 60°: shown." in text
