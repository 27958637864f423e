"""A store that commit cd3d9be wrote is upgraded: finished runs count again, nothing is lost, and the rest is listed."""

import json
import os
import shutil
from pathlib import Path

import pytest

from nowt.config.run_config import config_from_json
from nowt.config.run_key import run_key
from nowt.core.errors import ConfigError
from nowt.store.layout import Store
from nowt.store.locks import LogLock, study_lock
from nowt.store.run_log import read_all
from nowt.store.study_file import read_study_files
from nowt.tracking.outbox import Outbox
from tests.support.command_line import nowt
from tests.support.earlier_store import by_model_rule_seed, files, upgraded
from tests.support.mlflow_contents import contents
from tests.support.small_spaces import write_space
from tests.support.small_studies import write_study

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

CELLS = "{name: replace(small(name, RESIDUAL), epochs=2) for name in ('bp', 'kp')}"

BASE = "replace(small('kp', RESIDUAL), epochs=2, test=False)"

SPACE = f"(SearchCell('kp', {BASE}, (Range('optim.lr', 0.001, 1.0, log=True),)),)"

METHOD = "sampler='random', stopping=EarlyStopping('none')"


def test_runs_whose_content_is_equal_get_todays_keys_and_keep_their_numbers(earlier: Path) -> None:
    before = by_model_rule_seed(earlier)
    upgraded(earlier)
    after = by_model_rule_seed(earlier)
    assert before.keys() == after.keys()
    changed = {name for name in before if after[name].earlier_keys}
    assert changed == {name for name in before if "quarter" not in name and before[name].state != "diverged"}
    for name in changed:
        run, was = after[name], before[name]
        assert run.earlier_keys == (was.key,)
        assert run.key == run_key(config_from_json(run.start["config"]), run.start["fingerprint"])
        assert (run.epochs, run.state, run.times, run.spans) == (was.epochs, was.state, was.times, was.spans)
    for name in before.keys() - changed:
        assert after[name] == before[name]


def test_the_rest_is_listed_with_its_reason(earlier: Path) -> None:
    runs = by_model_rule_seed(earlier)
    lines = upgraded(earlier)
    assert lines[0] == "runs: 9 runs upgraded, 2 not upgraded, 0 of this version already"
    rule = next(run.key for name, run in runs.items() if "quarter" in name)
    diverged = next(run.key for run in runs.values() if run.state == "diverged")
    start = lines.index("not upgraded; these runs stay readable, but the same study trains them again:") + 1
    reasons = dict(line.strip().split(": ", 1) for line in lines[start:])
    assert reasons.keys() == {rule, diverged}
    assert "No module named 'nowt.rules.fa'" in reasons[rule]
    assert "it diverged" in reasons[diverged]
    kp = next(run.key for name, run in runs.items() if name.startswith("tiny_resnet kp digits 1 "))
    assert any(line.startswith(f"  {kp} becomes ") and line.endswith(" (small, kp, seed 1)") for line in lines)


def test_the_study_trains_nothing_afterwards(earlier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(Path(), CELLS, seeds="(0, 1)")
    upgraded(earlier)
    before = {path.name: path.read_bytes() for path in (earlier / "logs").iterdir()}
    printed = nowt("ablate small.py --in-process --store runs --device cpu", capsys)
    assert "4 of 4 runs finished" in printed and "no longer count" not in printed
    assert {path.name: path.read_bytes() for path in (earlier / "logs").iterdir()} == before
    [study_file] = [file for file in read_study_files(earlier) if file.name == "small"]
    assert len(study_file.runs) == 4


def test_a_search_continues_with_its_trials(earlier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = write_space(Path(), SPACE, "Budget(3)", METHOD, name="lr")
    text = space.read_text().replace("'Which is best?'", "'Which learning rate?'")
    space.write_text(text)
    upgraded(earlier)
    before = {path.name: path.read_bytes() for path in (earlier / "logs").iterdir()}
    printed = nowt("search lr.py --in-process --store runs --device cpu", capsys)
    assert "3" in printed and "no longer count" not in printed
    assert {path.name: path.read_bytes() for path in (earlier / "logs").iterdir()} == before
    [study_file] = [file for file in read_study_files(earlier) if file.name == "lr"]
    assert {run.key for run in study_file.runs} <= {Path(name).stem for name in before}


def test_an_upgraded_store_is_not_upgraded_again(earlier: Path) -> None:
    upgraded(earlier)
    before = files(earlier)
    lines = upgraded(earlier)
    assert lines[0] == "runs: 0 runs upgraded, 2 not upgraded, 9 of this version already"
    assert files(earlier) == before


def test_a_store_without_runs_of_an_earlier_version_has_nothing_to_upgrade(earlier: Path, tmp_path: Path) -> None:
    store = tmp_path / "empty"
    store.mkdir()
    for dry_run in (True, False):
        assert upgraded(store, dry_run=dry_run) == [f"{store}: nothing to upgrade, since it has no runs"]
    upgraded(earlier)
    for study in Store(earlier).study_files():
        study.unlink()
    for number, run in enumerate(run for run in read_all(earlier) if run.earlier_keys):
        Store(store).logs.mkdir(exist_ok=True)
        shutil.copy(Store(earlier).log(run.key), Store(store).logs)
        which = "its only run is" if number == 0 else f"all {number + 1} runs are"
        assert upgraded(store) == [f"{store}: nothing to upgrade, since {which} of this version"]


def test_a_dry_run_lists_and_changes_nothing(earlier: Path) -> None:
    before = files(earlier)
    dry = upgraded(earlier, dry_run=True)
    assert files(earlier) == before
    assert dry[0] == "runs: 9 runs would be upgraded, 2 not upgraded, 0 of this version already"
    assert dry[1:] == upgraded(earlier)[1:]


def test_the_logs_and_study_files_of_before_are_kept(earlier: Path) -> None:
    before = files(earlier)
    upgraded(earlier)
    now = files(earlier)
    kept = {name.removeprefix("earlier/"): data for name, data in now.items() if name.startswith("earlier/")}
    for name, data in before.items():
        assert now.get(name) == data or kept[name] == data, name


def test_checkpoints_and_probe_results_follow_their_runs(earlier: Path) -> None:
    runs = by_model_rule_seed(earlier)
    key = next(run.key for name, run in runs.items() if name.startswith("tiny_resnet kp digits 1 "))
    folder = Store(earlier).checkpoints(key)
    folder.mkdir(parents=True)
    (folder / "step-000000001.pt").write_bytes(b"weights")
    results = Store(earlier).probe("small-12345678", "cka")
    results.parent.mkdir(parents=True)
    results.write_text(json.dumps({"run": key, "epoch": 2}) + "\n" + json.dumps({"run": "another", "epoch": 2}) + "\n")
    upgraded(earlier)
    [now] = [run.key for run in read_all(earlier) if run.earlier_keys == (key,)]
    assert (Store(earlier).checkpoints(now) / "step-000000001.pt").read_bytes() == b"weights"
    assert not folder.exists()
    assert [json.loads(line)["run"] for line in results.read_text().splitlines()] == [now, "another"]


def test_mlflow_shows_each_run_once_with_its_former_key(written: Path, earlier: Path) -> None:
    shutil.copy(written / "runs" / "mlflow.db", earlier)
    upgraded(earlier)
    pages = [page for experiment in contents(earlier).values() for page in experiment["runs"]]
    keys = [page["tags"]["nowt.key"] for page in pages]
    runs = {run.key: run for run in read_all(earlier)}
    assert sorted(key for key in keys if key in runs) == sorted(runs)
    assert {page["tags"].get("earlier.keys", "") for page in pages} >= {
        ", ".join(run.earlier_keys) for run in runs.values()
    }


def test_a_tracking_server_is_named(earlier: Path) -> None:
    Outbox.for_server(earlier, "http://lab:5000")
    assert upgraded(earlier)[-1] == (
        "http://lab:5000 keeps its entries of the former keys; nowt deliver --to http://lab:5000 adds those of today"
    )


def test_show_finds_a_run_by_its_former_key(earlier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = next(run.key for name, run in by_model_rule_seed(earlier).items() if name.startswith("tiny_resnet bp"))
    upgraded(earlier)
    [now] = [run.key for run in read_all(earlier) if run.earlier_keys == (key,)]
    printed = nowt(f"show {key} --store runs", capsys)
    assert f"run {now}: finished" in printed and f"until nowt upgrade, its key was {key}" in printed


def test_a_rule_that_imports_from_nowts_modules_by_their_new_names_is_upgraded(earlier: Path) -> None:
    path = Path("quarter.py")
    path.write_text(path.read_text().replace("from nowt.rules.fa import", "from nowt import"))
    assert upgraded(earlier)[0] == "runs: 10 runs upgraded, 1 not upgraded, 0 of this version already"
    [run] = [run for name, run in by_model_rule_seed(earlier).items() if "quarter" in name]
    assert run.start["config"]["rule"]["name"].startswith(str(path.resolve())) and run.earlier_keys


def test_images_that_changed_since_keep_the_earlier_key(earlier: Path) -> None:
    path = Path("images/train/cat/000.png")
    os.utime(path, (4e9, 4e9))
    lines = upgraded(earlier)
    assert lines[0].startswith("runs: 8 runs upgraded, 3 not upgraded")
    assert any("train/cat/000.png was written after the run began" in line for line in lines)


def test_runs_on_images_can_be_upgraded_later(earlier: Path) -> None:
    assert any("give --data-dir" in line for line in upgraded(earlier, data=""))
    assert upgraded(earlier)[0] == "runs: 1 run upgraded, 2 not upgraded, 8 of this version already"


def test_a_study_or_run_in_progress_is_named(earlier: Path) -> None:
    before = files(earlier)
    [key, *_] = [file.key for file in read_study_files(earlier)]
    with study_lock(earlier, key), pytest.raises(ConfigError, match=f"study {key} is already being run"):
        upgraded(earlier)
    [log, *_] = Store(earlier).log_files()
    lock = LogLock(log)
    with pytest.raises(ConfigError, match=f"run {log.stem} is in progress"):
        upgraded(earlier)
    del lock
    assert files(earlier) == before


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nowt(f"upgrade {tmp_path}/none", capsys, 2) == (
        f"nowt: there is no store at {tmp_path}/none: name the folder that nowt ablate wrote\n"
    )
    assert "STORE" in nowt("upgrade", capsys, 2)


def test_the_command_prints_the_list(earlier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = nowt("upgrade runs --data-dir images --code net.py --dry-run", capsys)
    assert printed.startswith("runs: 9 runs would be upgraded, 2 not upgraded")
    assert nowt("upgrade runs --data-dir images --code net.py", capsys).startswith("runs: 9 runs upgraded")


def test_a_superseded_run_is_explained_with_the_command(earlier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(Path(), CELLS, seeds="(0, 1)")
    printed = nowt("plan small.py --store runs --device cpu", capsys)
    assert "no longer count" in printed and "nowt upgrade" in printed
