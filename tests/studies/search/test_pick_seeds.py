"""The seeds of a search's picks, and a space that states its confirmation and its claim."""

from pathlib import Path

import pytest

from analysis.report.study import report
from analysis.stats.claim import claim_test
from analysis.tables.claim import claim_markdown
from nowt.cli.main import main
from nowt.store.run_log import read_all
from nowt.store.study_file import read_study_files
from nowt.studies.search.best_trials import best_trials, find_search
from tests.support.small_spaces import write_space
from tests.support.synthetic_frames import frames_in

Captured = pytest.CaptureFixture[str]

RANDOM = "sampler='random', stopping=EarlyStopping('none'), reference='kp'"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def searched(tmp_path: Path, store: Path, *words: str) -> int:
    space = write_space(tmp_path, "(part('kp'), part('bp'))", "Budget(2)", RANDOM)
    return main(["search", str(space), "--store", str(store), "--in-process", *words])


def test_picks_train_with_seeds_that_have_not_chosen_them(tmp_path: Path, store: Path, capsys: Captured) -> None:
    words = ["--confirm", "2", "--confirm-seeds", "2", "--pick-seeds", "3"]
    for _ in range(2):  # the second time, nothing is left to do
        assert searched(tmp_path, store, *words) == 0
    study_files = {study_file.name: study_file for study_file in read_study_files(store)}
    assert (study_files["small_confirmed"].seeds, study_files["small_picks"].seeds) == ([1, 2], [3, 4, 5])
    assert len(study_files["small_picks"].runs) == 6
    assert "test error, mean over 3 seeds that chose nothing:" in capsys.readouterr().out


def test_picks_with_seeds_that_chose_them_do_not_mix_with_new_ones(
    tmp_path: Path, store: Path, capsys: Captured
) -> None:
    words = ["--confirm", "2", "--confirm-seeds", "1"]
    assert searched(tmp_path, store, *words) == 0
    assert searched(tmp_path, store, *words, "--pick-seeds", "2") == 2
    err = capsys.readouterr().err
    assert "already has runs with seeds that chose its settings (1)" in err and err.count("\n") == 1


def test_a_single_setting_is_the_pick_without_a_confirmation(tmp_path: Path, store: Path, capsys: Captured) -> None:
    assert searched(tmp_path, store, "--confirm", "1", "--pick-seeds", "2") == 0
    study_files = {study_file.name: study_file for study_file in read_study_files(store)}
    assert set(study_files) == {"small", "small_picks"} and study_files["small_picks"].seeds == [1, 2]
    assert sum(run.start["config"]["test"] for run in read_all(store)) == len(study_files["small_picks"].runs) == 4
    best = {one.cell: one for one in best_trials(store, find_search(store, "small"), 1)}
    out = capsys.readouterr().out
    assert "picks, by the lowest val error in the search; test error, mean over 2 fresh seeds:" in out
    assert f"kp: trial {best['kp'].trial}, val {100 * best['kp'].error:.2f} %" in out
    assert "small_confirmed" not in out


STATED = f"{RANDOM}, confirm=Confirm(1, pick_seeds=3, test='last'), claim=Claim(('bp',), margin=50)"


def test_a_space_states_its_confirmation_and_the_claim_of_its_picks(
    tmp_path: Path, store: Path, capsys: Captured
) -> None:
    space = write_space(tmp_path, "(part('kp'), part('bp'))", "Budget(1)", STATED)
    space.write_text(f"from nowt import Claim, Confirm\n{space.read_text()}")
    words = ["search", str(space), "--store", str(store), "--in-process"]
    assert main([*words, "--pick-seeds", "4"]) == 2
    stated = "--pick-seeds is 4, but small states pick_seeds=3 (confirm): leave the option out, or change the space"
    assert stated in capsys.readouterr().err and not store.exists()
    assert main(words) == 0
    study_files = {study_file.name: study_file for study_file in read_study_files(store)}
    assert study_files["small_picks"].seeds == [1, 2, 3]
    claim = {"cells": ["bp"], "margin": 50, "max_delta_angle": None}
    assert study_files["small"].claim == study_files["small_picks"].claim == claim
    assert study_files["small"].confirm == {"settings": 1, "seeds": 3, "pick_seeds": 3, "test": "last"}
    assert {cell["config"]["test"] for cell in study_files["small_picks"].cells} == {"last"}


def test_a_claim_about_a_cell_without_a_pick_is_reported(tmp_path: Path, store: Path, capsys: Captured) -> None:
    cells = "(part('kp'), part('sham', Range('optim.lr', 1e37, 1e38), Range('optim.warmup', 0.0, 1e-9)))"
    space = write_space(tmp_path, cells, "Budget(1)", f"{RANDOM}, claim=Claim(('sham',), margin=50)")
    space.write_text(f"from nowt import Claim\n{space.read_text()}")
    words = ["search", str(space), "--store", str(store), "--in-process"]
    assert main([*words, "--confirm", "1", "--confirm-seeds", "1"]) == 0
    assert "the claim of small is not tested: sham has no pick" in capsys.readouterr().out
    text = report(store, "small_picks", tmp_path / "out").text
    why = "Not tested: no trial of sham finished, so that there is no pick."
    assert text.startswith(f"**Claim of small: sham is within 50 points of kp. {why}**")


def test_picks_without_that_of_the_reference_name_another_reference(
    tmp_path: Path, store: Path, capsys: Captured
) -> None:
    cells = "(part('kp', Range('optim.lr', 1e37, 1e38), Range('optim.warmup', 0.0, 1e-9)), part('bp'), part('ss'))"
    space = write_space(tmp_path, cells, "Budget(1)", f"{RANDOM}, claim=Claim(('ss',), margin=50)")
    space.write_text(f"from nowt import Claim\n{space.read_text()}")
    words = ["search", str(space), "--store", str(store), "--in-process"]
    assert main([*words, "--confirm", "1", "--confirm-seeds", "1"]) == 0
    assert "the reference kp has no pick: picks are compared with bp" in capsys.readouterr().out
    text = report(store, "small_picks", tmp_path / "out").text
    assert "ss is within 50 points of kp. Not tested: no trial of kp finished" in text
    assert "**The reference of small, kp, has no pick: cells are compared with bp.**" in text


def test_a_report_names_a_claim_after_the_search_and_seeds_after_the_claim(tmp_path: Path, store: Path) -> None:
    def start(claim: str, seeds: int) -> str:
        stated = f"{RANDOM}, confirm=Confirm(1, pick_seeds={seeds}, test='last'){claim}"
        space = write_space(tmp_path, "(part('kp'), part('bp'))", "Budget(1)", stated)
        space.write_text(f"from nowt import Claim, Confirm\n{space.read_text()}")
        assert main(["search", str(space), "--store", str(store), "--in-process"]) == 0
        test = claim_test(frames_in(store))
        return "" if test is None else claim_markdown(test, None)

    space = write_space(tmp_path, "(part('kp'), part('bp'))", "Budget(1)", RANDOM)
    assert main(["search", str(space), "--store", str(store), "--in-process"]) == 0
    late = start(", claim=Claim(('bp',), margin=50)", 2)
    assert "The claim was recorded after 2 runs had begun, so it was not stated beforehand." in late
    assert "added after" not in late
    more = start(", claim=Claim(('bp',), margin=50)", 3)
    assert "1 seed (3) was added after the claim was recorded" in more


def test_fewer_seeds_than_at_an_earlier_start_are_named(tmp_path: Path, store: Path, capsys: Captured) -> None:
    assert searched(tmp_path, store, "--confirm", "1", "--pick-seeds", "3") == 0
    assert "earlier start" not in capsys.readouterr().out
    assert searched(tmp_path, store, "--confirm", "1", "--pick-seeds", "1") == 0
    line = (
        "small_picks has 2 more seeds from an earlier start (2, 3), which nowt report includes and the means above do"
    )
    assert f"{line} not" in capsys.readouterr().out


def test_an_option_that_contradicts_a_quick_search_names_quick(tmp_path: Path, store: Path, capsys: Captured) -> None:
    space = write_space(tmp_path, "(part('kp'), part('bp'))", "Budget(1)", STATED)
    space.write_text(f"from nowt import Claim, Confirm\n{space.read_text()}")
    assert main(["search", str(space), "--store", str(store), "--quick", "--pick-seeds", "3"]) == 2
    expected = "--pick-seeds is 3, but --quick sets pick_seeds=1 (confirm): leave one of them out"
    assert expected in capsys.readouterr().err
