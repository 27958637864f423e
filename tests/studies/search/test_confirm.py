"""Rerunning a search's best settings (confirmation, transfer), spending caps, and options that are not valid."""

import json
from functools import partial
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.config.recipes import digits
from nowt.store.records import RunLog
from nowt.store.run_log import read_all
from nowt.store.study_file import read_study_files
from nowt.studies.search.best_trials import best_trials, find_search
from tests.support.small_spaces import write_space

Captured = pytest.CaptureFixture[str]

RANDOM = "sampler='random', stopping=EarlyStopping('none'), reference='kp'"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def searched(tmp_path: Path, store: Path, *words: str, budget: str = "Budget(3)") -> int:
    space = write_space(tmp_path, "(part('kp'), part('bp'))", budget, RANDOM)
    return main(["search", str(space), "--store", str(store), "--in-process", *words])


def test_best_settings_are_confirmed_with_new_seeds_and_only_picks_use_test_images(
    tmp_path: Path, store: Path, capsys: Captured
) -> None:
    assert searched(tmp_path, store, "--confirm", "2", "--confirm-seeds", "2", budget="Budget(2)") == 0
    out = capsys.readouterr().out
    study_files = {study_file.name: study_file for study_file in read_study_files(store)}
    assert set(study_files) == {"small", "small_confirmed", "small_picks"}
    assert study_files["small_confirmed"].seeds == study_files["small_picks"].seeds == [1, 2]
    assert len(study_files["small_confirmed"].runs) == 8 and len(study_files["small_picks"].runs) == 4
    opened = {run.key for run in read_all(store) if run.start["config"]["test"]}
    assert opened == {run.key for run in study_files["small_picks"].runs}
    assert "picks, by the lowest mean val error" in out and "nowt report small_picks" in out
    assert "small_picks: How do the picks of small compare?" in out
    assert main(["report", "small", "--store", str(store), "--out", str(tmp_path / "figures")]) == 0
    page = (tmp_path / "figures" / "report.md").read_text()
    assert "with new seeds (`nowt report small_confirmed`)" in page and "(`nowt report small_picks`)" in page
    assert "| kp trial " in page and "test error, %" in page


def test_a_pick_trains_exactly_as_in_its_confirmation(tmp_path: Path, store: Path) -> None:
    assert searched(tmp_path, store, "--confirm", "2", "--confirm-seeds", "1", budget="Budget(2)") == 0
    study_files = {study_file.name: study_file for study_file in read_study_files(store)}
    logs = {run.key: run for run in read_all(store)}
    confirmed = {config_of(logs[run.key]): logs[run.key] for run in study_files["small_confirmed"].runs}
    for pick in (logs[run.key] for run in study_files["small_picks"].runs):
        before = confirmed[config_of(pick)]
        assert [e.val_error for e in before.epochs] == [e.val_error for e in pick.epochs]


def config_of(run: RunLog) -> str:
    """The config of a run as text, but for the use of the test images."""
    return json.dumps({**run.start["config"], "test": False}, sort_keys=True)


def test_runs_on_other_images_are_not_in_the_mean(tmp_path: Path, store: Path, capsys: Captured) -> None:
    words = ["--confirm", "2", "--confirm-seeds", "1"]
    assert searched(tmp_path, store, *words, budget="Budget(2)") == 0
    before = capsys.readouterr().out
    for path in (store / "studies").glob("small_*.json"):  # as if --data-dir had other images now
        content = json.loads(path.read_text())
        content["runs"] = [{**run, "key": "0" * 12} for run in content["runs"]] + content["runs"]
        path.write_text(json.dumps(content))
    assert searched(tmp_path, store, *words, budget="Budget(2)") == 0
    assert capsys.readouterr().out.partition("val error, mean")[2] == before.partition("val error, mean")[2]


def test_a_cell_without_a_finished_trial_is_reported(tmp_path: Path, store: Path, capsys: Captured) -> None:
    cells = "(part('kp'), part('sham', Range('optim.lr', 1e37, 1e38), Range('optim.warmup', 0.0, 1e-9)))"
    space = write_space(tmp_path, cells, "Budget(1)", RANDOM)
    words = ["--store", str(store), "--in-process"]
    assert main(["search", str(space), *words, "--confirm", "1", "--confirm-seeds", "1"]) == 0
    assert "sham: no trial finished" in capsys.readouterr().out
    target = "--data.train_limit 64 --data.repeat 1 --data.size 8 --epochs 1"
    assert main(["transfer", "small", "--to", "digits", "--seeds", "1", *words, *target.split()]) == 0
    assert "sham: no trial finished; the unchanged recipe " in capsys.readouterr().out


def test_earlier_picks_on_the_same_test_images_are_reported(
    tmp_path: Path, store: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They still count, so that a longer search needs no --redo."""
    monkeypatch.setattr("nowt.studies.superseded.FREE_SECONDS", 0.0)
    words = ["--confirm", "1", "--confirm-seeds", "1"]
    assert searched(tmp_path, store, *words, budget="Budget(1)") == 0
    assert "other picks were already scored" not in capsys.readouterr().out
    assert searched(tmp_path, store, *words, "--trials", "3") == 0
    notice = "other picks were already scored on these test images; report them, too: small_picks-"
    out = capsys.readouterr().out
    assert notice in out and "no longer count" not in out


def test_a_spending_cap_does_not_count_time_of_other_searches(tmp_path: Path, store: Path, capsys: Captured) -> None:
    halving = "sampler='random', stopping=EarlyStopping('halving', first_rung=3)"
    space = write_space(tmp_path, "(part('kp'),)", "Budget(2)", halving)
    words = ["search", str(space), "--store", str(store), "--in-process"]
    assert main(words) == 0
    for path in (store / "logs").iterdir():  # each run of the first search took over an hour
        start, *others = path.read_text().splitlines()
        fields = json.loads(start)
        path.write_text("\n".join([json.dumps(fields | {"time": fields["time"] - 3_600_000}), *others, ""]))
    again = [*words, "--stopping", "none", "--hours", "0.5"]
    assert main(again) == 0
    write_space(tmp_path, "(part('kp'),)", "Budget(3)", halving)
    assert main(again) == 0
    out = capsys.readouterr().out
    assert "kp: 3 finished" in out and "stopped at its cap" not in out


def test_best_trials_are_sorted_by_error_and_exclude_stopped_ones(tmp_path: Path, store: Path) -> None:
    space = write_space(
        tmp_path, "(part('kp'),)", "Budget(6)", "stopping=EarlyStopping('halving', first_rung=1, factor=2)"
    )
    assert main(["search", str(space), "--store", str(store), "--in-process"]) == 0
    finished = sorted(run.epochs[-1].val_error for run in read_all(store) if run.state == "finished")
    found = best_trials(store, find_search(store, "small"), 99)
    assert [one.error for one in found] == finished and len(found) < 6


def test_a_transfer_keeps_settings_unchanged(tmp_path: Path, store: Path, capsys: Captured) -> None:
    assert searched(tmp_path, store, "--optim.clip", "1.5", "--optim.momentum", "0.7", budget="Budget(2)") == 0
    target = "--data.train_limit 64 --data.repeat 1 --data.size 8 --epochs 1 --model.name resnet20 --optim.lr 0.3"
    words = ["transfer", "small", "--to", "digits", "--best", "2", "--seeds", "1", "--store", str(store)]
    assert main([*words, "--in-process", *target.split()]) == 0
    [study_file] = [study_file for study_file in read_study_files(store) if study_file.name == "small_on_digits"]
    names = [cell["name"] for cell in study_file.cells]
    assert len(names) == 6 and {"kp recipe", "bp recipe"} <= set(names)
    found = {one.name: one for one in best_trials(store, find_search(store, "small"), 2)}
    for cell in study_file.cells:
        assert cell["config"]["model"]["name"] == "resnet20" and cell["config"]["epochs"] == 1
        optim, one = cell["config"]["optim"], found.get(cell["name"])
        there = one.config.optim if one else digits().optim
        assert optim["lr"] == (there.lr if one else 0.3)  # options change only the unchanged recipe
        assert (optim["clip"], optim["momentum"]) == (there.clip, there.momentum)
        assert optim["warmup"] == pytest.approx(there.warmup * (0.25 if one else 1))
    assert "the unchanged recipe" in capsys.readouterr().out


@pytest.fixture(scope="module")
def searched_batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a search over the batch size."""
    folder = tmp_path_factory.mktemp("batch")
    space = write_space(folder, "(part('kp', Choice('batch', (16, 32))),)", "Budget(1)", RANDOM)
    assert main(["search", str(space), "--store", str(folder / "runs"), "--in-process"]) == 0
    return folder / "runs"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "transfer small --to digits --batch 16",
            "--batch cannot be used with a transfer: 'small' searched this field",
        ),
        ("transfer smal --to digits", "has no search 'smal' (did you mean small?)"),
        ("transfer small --to digitz", "did you mean digits"),
        ("transfer small --to digits --best 0", "--best is 0"),
        ("transfer small --to digits --rule kp", "--rule cannot be used with a transfer: each setting keeps the rule"),
        ("transfer small --to digits --seed 3", "--seed cannot be used with a transfer; --seeds N runs N seeds"),
        (
            "transfer small --to digits --test true",
            "--test cannot be used with a transfer, which does not use test images",
        ),
    ],
)
def test_an_invalid_option_of_a_transfer_is_an_error_of_one_line(
    words: str, message: str, searched_batch: Path, capsys: Captured
) -> None:
    assert main([*words.split(), "--store", str(searched_batch)]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_a_spending_cap_stops_a_search_after_an_epoch_and_a_larger_one_resumes_it(
    tmp_path: Path, store: Path, capsys: Captured
) -> None:
    assert searched(tmp_path, store, "--hours", "1e-12") == 130
    assert "stopped at its cap of 1e-12 hours, 100 % of the budget left" in capsys.readouterr().out
    assert searched(tmp_path, store, "--money", "0.5", "--price", "1e5") == 130  # 18 milliseconds
    begun = [run for run in read_all(store) if run.state == "running"]
    assert len(begun) == 1 and begun[0].last_epoch >= 0
    assert "of the budget and the rest of 1 trial left" in capsys.readouterr().out
    assert searched(tmp_path, store, "--hours", "1") == 0
    logs = list(read_all(store))
    assert {run.state for run in logs} == {"finished"} and len(logs) == 6
    assert [run.attempts for run in logs if run.key == begun[0].key] == [2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--hours 0", "--hours is 0.0: it must be above 0"),
        ("--money 5", "--money and --price go together"),
        ("--hours 1 --money 5 --price 1", "both cap the study: give one"),
        ("--money 5 --price much", "--price is much: it must be a price per hour above 0, or TYPE=PRICE"),
        ("--money 5 --price gpu=1", "--price has node types, but --in-process uses no cluster"),
        ("--confirm 0", "--confirm is 0"),
        ("--confirm 1 --confirm-seeds 0", "--confirm-seeds is 0"),
        ("--confirm-seeds 5", "--confirm-seeds 5 needs --confirm K"),
        ("--pick-seeds 5", "--pick-seeds 5 needs --confirm K"),
        ("--confirm 2 --pick-seeds 0", "--pick-seeds is 0: it must be at least 1"),
        ("--confirm 1 --confirm-seeds 2 --pick-seeds 8", "--confirm-seeds 2 has no effect with --confirm 1 and"),
        ("--sampler TPE", "--sampler: 'TPE' is not one of tpe, quasi_random, random, grid (did you mean tpe?)"),
        ("--slots 8", "--in-process executes one run at a time; leave --slots out"),
        ("--first-rung 2", "--first-rung needs early stopping"),
        ("--rule kp", "--rule cannot be used with a search: each cell of 'small' already sets its rule"),
        ("--seed 3", "--seed cannot be used with a search; set run_seed in space 'small'"),
        ("--storage foo", "--storage is 'foo': give a URL such as sqlite:///"),
        ("--storage postgresql://me:secret@host/nowt", "contains a password, which others can read on a command line"),
        (
            "--storage postgresql://host/nowt?password=secret",
            "--storage postgresql://host/nowt contains a password, which",
        ),
        ("--storage mysql://host/nowt", "needs the Python package MySQLdb, which is not installed"),
        ("--storage postgresql:///nowt?host=/nowhere", "postgresql:///nowt?host=%2Fnowhere cannot be used (connection"),
        ("--storage sqlite:////nowhere/optuna.db", "/nowhere/optuna.db cannot be used as a database"),
    ],
)
def test_an_invalid_option_of_a_search_is_an_error_of_one_line(
    words: str, message: str, tmp_path: Path, store: Path, capsys: Captured
) -> None:
    assert searched(tmp_path, store, *words.split()) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and "secret" not in err


def test_a_search_with_another_storage_is_an_error(
    tmp_path: Path, store: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ["--storage", f"sqlite:///{tmp_path}/optuna.db"]
    search = partial(searched, budget="Budget(1)")
    assert search(tmp_path, store, *there) == 0 and search(tmp_path, store, *there) == 0
    capsys.readouterr()
    assert search(tmp_path, store) == 2
    err = capsys.readouterr().err
    assert f"was begun with --storage sqlite:///{tmp_path}/optuna.db: give that again" in err and err.count("\n") == 1
    assert not (store / "optuna.db").exists()
    monkeypatch.chdir(tmp_path)
    assert search(tmp_path, store, "--storage", "sqlite:///optuna.db") == 0  # the same file
    other = tmp_path / "other"
    assert search(tmp_path, other) == 0 and search(tmp_path, other, "--storage", "sqlite:///other/optuna.db") == 0
    assert search(tmp_path, other, *there) == 2
    assert "was begun without --storage: leave it out" in capsys.readouterr().err


def test_a_search_uses_the_recipe_of_the_option(tmp_path: Path, store: Path) -> None:
    words = "--recipe mnist_mlp --data.name digits --data.train_limit 64 --batch 32 --epochs 1 --trials 1"
    assert searched(tmp_path, store, *words.split()) == 0
    assert {run.start["config"]["model"]["name"] for run in read_all(store)} == {"mlp"}


def test_a_transfer_keeps_the_share_of_warm_up_and_milestones(tmp_path: Path, store: Path) -> None:
    params = "Range('optim.warmup', 0.1, 0.2), Choice('optim.schedule', ('step', 'cosine')), "
    params += "Choice('optim.milestones', ((0.5,), (0.6,)), when=When('optim.schedule', 'step'))"
    space = write_space(
        tmp_path, f"(part('bp', {params}),)", "Budget(4)", "sampler='quasi_random', stopping=EarlyStopping('none')"
    )
    space.write_text("from nowt import When\n" + space.read_text())
    assert main(["search", str(space), "--store", str(store), "--in-process", "--epochs", "1"]) == 0
    words = "transfer small --to digits --epochs 2 --seeds 1 --data.train_limit 64 --data.repeat 1 --data.size 8"
    assert main([*words.split(), "--best", "4", "--store", str(store), "--in-process"]) == 0
    found = {one.name: one.config.optim for one in best_trials(store, find_search(store, "small"), 4)}
    [study_file] = [study_file for study_file in read_study_files(store) if study_file.name == "small_on_digits"]
    carried = {cell["name"]: cell["config"]["optim"] for cell in study_file.cells if cell["name"] in found}
    assert {optim["schedule"] for optim in carried.values()} == {"step", "cosine"}
    for name, optim in carried.items():
        assert optim["warmup"] == pytest.approx(2 * found[name].warmup)
        assert optim["milestones"] == pytest.approx([2 * epoch for epoch in found[name].milestones])


def test_a_batch_that_is_too_large_is_an_error_before_the_first_trial(
    tmp_path: Path, store: Path, capsys: Captured
) -> None:
    space = write_space(tmp_path, "(part('bp', Range('batch', 16, 4096, log=True, integer=True)),)")
    assert main(["search", str(space), "--store", str(store), "--in-process"]) == 2
    err = capsys.readouterr().err
    assert "batch is 4096: it must be at most" in err and err.count("\n") == 1
    assert not (store / "studies").exists()
