"""A study, from its file to its finished logs: in this process, on Ray Tune, killed, interrupted, run again."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.store.records import RunLog
from nowt.store.run_log import read
from tests.faults.cleanup_checks import temporary_files
from tests.support.small_studies import (
    BROKEN,
    INTERRUPTED,
    SLOW,
    log_bytes,
    logs,
    numbers,
    start,
    store_with_database,
    wait_for,
    write_study,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

CELLS = """{
        "slow": small(Path(__file__).with_name("slow.py"), RESIDUAL),
        "bp": small("bp"),
        "broken": small(Path(__file__).with_name("broken.py")),
        "diverging": small("sham", lr=1e38, warmup=0.0),
    }"""

RUNS = {"slow 0", "bp 0", "broken 0", "sham 0"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four cells: one slow, one plain, one that fails and one that diverges."""
    folder = tmp_path_factory.mktemp("studies")
    (folder / "slow.py").write_text(SLOW)
    (folder / "broken.py").write_text(BROKEN)
    write_study(folder, CELLS)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(folder: Path) -> tuple[Path, int]:
    """The store of the study, run in this process without interruption, and the exit code."""
    store = folder / "uninterrupted"
    return store, main(["ablate", str(folder / "small.py"), "--store", str(store), "--in-process"])


@pytest.fixture
def store(uninterrupted: tuple[Path, int], tmp_path: Path) -> Path:
    """A copy of that store, to change."""
    return Path(shutil.copytree(uninterrupted[0], tmp_path / "store"))


def run_again(folder: Path, store: Path, *options: str) -> int:
    return main(["ablate", str(folder / "small.py"), "--store", str(store), "--in-process", *options])


def has_reached(store: Path, epoch: int) -> bool:
    """Whether the slow run has logged this epoch, but is not finished."""
    run = logs(store).get("slow 0")
    return run is not None and run.state == "running" and epoch <= run.last_epoch < 4


def workers_of(folder: Path) -> list[int]:
    """Ray's worker processes in ``folder``, without its idle agents: they outlive a killed driver by a minute."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = os.readlink(process / "cwd") == str(folder.resolve())
            words = (process / "cmdline").read_bytes()
        except OSError:  # it has ended, or belongs to another user
            continue
        if here and words.startswith(b"ray::") and b"Agent" not in words:
            found.append(int(process.name))
    return found


def assert_equal_numbers(one: dict[str, RunLog], two: dict[str, RunLog]) -> None:
    assert set(one) == set(two) == RUNS
    for name in RUNS:
        assert one[name].key == two[name].key
        assert one[name].state == two[name].state, name
        assert numbers(one[name]) == numbers(two[name]), name


def wait_for_end(process: subprocess.Popen[str], seconds: float) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def test_a_failing_run_does_not_affect_the_others(
    uninterrupted: tuple[Path, int], capsys: pytest.CaptureFixture[str]
) -> None:
    store, code = uninterrupted
    assert code == 1
    found = logs(store)
    assert {name: run.state for name, run in found.items()} == {
        "slow 0": "finished",
        "bp 0": "finished",
        "broken 0": "failed",
        "sham 0": "diverged",
    }
    assert [epoch.epoch for epoch in found["bp 0"].epochs] == [0, 1, 2, 3, 4]
    assert main(["show", found["broken 0"].key[:8], "--store", str(store)]) == 0
    page = capsys.readouterr().out
    assert "Traceback" in page and "no such layer [/dense]" in page and "broken.py" in page


def test_the_same_command_retries_only_the_failed_run(
    folder: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, key = log_bytes(store), logs(store)["broken 0"].key
    assert run_again(folder, store) == 1
    after = log_bytes(store)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {f"{key}.jsonl"}
    assert after[f"{key}.jsonl"].startswith(before[f"{key}.jsonl"])
    broken = logs(store)["broken 0"]
    assert (broken.state, broken.attempts, [e.epoch for e in broken.epochs]) == ("failed", 2, [0, 1])
    assert f"broken seed 0 (run {key})" in capsys.readouterr().out


def test_a_failed_run_resumes_from_its_checkpoint_once_its_rule_is_fixed(store: Path, tmp_path: Path) -> None:
    broken = BROKEN.replace("if step == 5:", "if step == 5 and not Path('mended').exists():")
    (tmp_path / "broken.py").write_text(broken.replace("from typing", "from pathlib import Path\nfrom typing", 1))
    write_study(tmp_path, '{"mended": small("./broken.py", momentum=0.8)}')
    other = Path(shutil.copytree(store, tmp_path / "other"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert run_again(tmp_path, store) == 1
        (tmp_path / "mended").touch()
        assert run_again(tmp_path, store) == 0
        assert run_again(tmp_path, other) == 0
    [study_file] = (s for s in (store / "studies").glob("*.json") if "mended" in s.read_text())
    [run] = json.loads(study_file.read_text())["runs"]
    mended, straight = (read(place / "logs" / f"{run['key']}.jsonl") for place in (store, other))
    assert (mended.state, mended.attempts, straight.attempts) == ("finished", 2, 1)
    assert numbers(mended) == numbers(straight) and len(numbers(mended)) == 5


def test_more_seeds_are_added_to_the_same_study(folder: Path, store: Path) -> None:
    before = log_bytes(store)
    [study_file] = (store / "studies").glob("*.json")
    assert run_again(folder, store, "--seeds", "2") == 1
    assert [path.name for path in (store / "studies").glob("*.json")] == [study_file.name]
    study = json.loads(study_file.read_text())
    assert study["seeds"] == [0, 1] and len(study["runs"]) == 8
    after, broken = log_bytes(store), f"{logs(store)['broken 0'].key}.jsonl"
    assert all(after[name] == text for name, text in before.items() if name != broken)
    assert len(after) == 8 and set(logs(store)) == RUNS | {name.replace("0", "1") for name in RUNS}
    assert run_again(folder, store) == 1  # with fewer seeds, the study file still lists all runs
    assert json.loads(study_file.read_text())["seeds"] == [0, 1]


def test_a_changed_study_is_a_new_study_and_nowt_prints_it(
    folder: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path, '{"bp": small("bp"), "fa": small("fa")}')
    [old] = (store / "studies").glob("*.json")
    before, bp = log_bytes(store), f"{logs(store)['bp 0'].key}.jsonl"
    assert run_again(tmp_path, store) == 0
    out = capsys.readouterr().out
    [new] = set((store / "studies").glob("*.json")) - {old}
    assert f"small has changed since {old.stem}: this is a new study, {new.stem}" in out
    assert log_bytes(store)[bp] == before[bp]  # the cell that both share is not run again
    assert run_again(tmp_path, store) == 0
    assert "has changed" not in capsys.readouterr().out
    assert main(["runs", "--store", str(store), "--study", new.stem, "--state", "finished"]) == 0
    rows = capsys.readouterr().out.strip().splitlines()[1:]
    assert sorted(row.split()[1] for row in rows) == ["bp", "fa"]


def test_quick_runs_a_study_with_its_own_key(store: Path, tmp_path: Path) -> None:
    write_study(tmp_path, '{"kp": small("kp")}', seeds="(0, 1)", name="small")
    assert run_again(tmp_path, store, "--quick") == 0
    [study_file] = (store / "studies").glob("small_quick-*.json")
    assert [run["seed"] for run in json.loads(study_file.read_text())["runs"]] == [0]
    assert logs(store)["kp 0"].last_epoch == 2
    assert run_again(tmp_path, store) == 0
    assert "kp 1" in logs(store)


def test_after_ctrl_c_the_same_command_resumes_from_the_current_batch(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    cells = '{"kp": small(Path(__file__).with_name("interrupted.py")), "fa": small("fa")}'
    study = str(write_study(tmp_path, cells))
    other = Path(shutil.copytree(store, tmp_path / "other"))
    command = ["ablate", study, "--store", str(store), "--in-process"]
    assert main(command) == 130
    assert f"run the same command again: nowt {' '.join(command)}" in capsys.readouterr().err
    cut = logs(store)
    assert (cut["interrupted 0"].state, cut["interrupted 0"].last_epoch) == ("running", 1) and "fa 0" not in cut
    assert main(command) == 0
    assert run_again(tmp_path, other) == 0
    found, straight = logs(store)["interrupted 0"], logs(other)["interrupted 0"]
    assert (found.state, found.attempts, straight.attempts) == ("finished", 2, 1)
    assert numbers(found) == numbers(straight)


def test_a_study_killed_in_its_process_and_then_on_ray_tune_has_the_same_numbers(
    folder: Path, uninterrupted: tuple[Path, int], empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A driver on Ray is killed in ``tests/faults``."""
    store = store_with_database(folder / "interrupted", empty)
    command = ["ablate", "./small.py", "--store", "interrupted"]
    _kill_after_an_epoch([*command, "--in-process"], folder, store, capsys)
    code, out, err = _kill_the_slow_runs_worker([*command, "--slots", "2"], folder, store)
    assert code == 1, err
    assert "2 of 4 runs finished, 1 diverged, 1 failed" in out
    found = logs(store)
    assert_equal_numbers(found, logs(uninterrupted[0]))
    assert [epoch.epoch for epoch in found["slow 0"].epochs] == [0, 1, 2, 3, 4]
    assert found["slow 0"].attempts == 3  # at first, after the kill, and on another worker
    assert list((store / ".tune").iterdir()) == [] and temporary_files(store) == []
    wait_for(lambda: not workers_of(folder), 30, "the finished driver's workers to die")


def _kill_after_an_epoch(command: list[str], folder: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Meanwhile, no other process may run the study."""
    driver = start(command, folder)
    try:
        wait_for(lambda: has_reached(store, 1), 90, "the slow run's first epoch")
        assert run_again(folder, store) == 2
        refusal = capsys.readouterr().err.strip()
        assert refusal.count("\n") == 0 and f"already being run by process {driver.pid}" in refusal
    finally:
        driver.kill()
        driver.communicate()
    assert has_reached(store, 1), "the kill came too late"


def _kill_the_slow_runs_worker(command: list[str], folder: Path, store: Path) -> tuple[int, str, str]:
    """The driver survives: Ray Tune restarts the run on another worker."""
    for path in folder.glob("*.slow"):
        path.unlink()
    driver = start(command, folder)
    try:
        wait_for(lambda: any(folder.glob("*.slow")), 90, "the slow run's next step")
        worker = int(next(folder.glob("*.slow")).stem)
        assert worker in workers_of(folder), "the slow run's worker does not belong to Ray"
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: worker not in workers_of(folder), 30, "the killed worker to die")
        assert has_reached(store, 1), "the kill came too late"
        return wait_for_end(driver, 120)
    finally:
        driver.kill()
        driver.communicate()
