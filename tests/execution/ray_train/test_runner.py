"""Two Ray Train workers share a run: one of a study, whose worker is killed; ``nowt train`` gives them its run, too."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.cli.tables import run_page
from nowt.config.field_names import Override
from nowt.config.overrides import apply_overrides
from nowt.config.placement import Placement
from nowt.execution import local
from nowt.execution.scheduler import Scheduler
from nowt.rules.kolen_pollack import KolenPollack
from nowt.studies.lookup import find_study
from tests.support.short_runs import numbers as without_times
from tests.support.small_studies import SLOW, logs, numbers, start, store_with_database, wait_for, write_study
from tests.support.worker_processes import kept, on_workers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

PATIENCE = 300  # seconds for what takes some twenty on an idle machine

CELLS = '{"slow": small(Path(__file__).with_name("slow.py"), RESIDUAL)}'

GROUPS = Override("model.norm_group", "16")


def _curve(store: Path, key: str) -> list[str]:
    """The epochs that ``nowt show`` prints."""
    return run_page(store, key).split("\n\n")[1].splitlines()


def test_a_killed_worker_is_replaced_and_the_results_are_the_same(tmp_path: Path, empty: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    write_study(tmp_path, CELLS)
    words = [f"--{GROUPS.path}", GROUPS.text]
    store = store_with_database(tmp_path / "runs", empty)
    driver = start(["ablate", "./small.py", "--store", "runs", "--workers", "1:2", *words], tmp_path)
    try:
        wait_for(lambda: any(run.last_epoch >= 1 for run in logs(store).values()), PATIENCE, "the first epoch")
        at_work = sorted(int(path.stem) for path in tmp_path.glob("*.slow"))
        assert len(at_work) == 2
        os.kill(at_work[1], signal.SIGKILL)
        out, errors = driver.communicate(timeout=PATIENCE)
    finally:
        driver.kill()
    assert driver.returncode == 0, errors
    (run,) = logs(store).values()
    assert (run.state, run.attempts, run.last_epoch) == ("finished", 2, 4)
    assert run.workers == (2,) * 5  # there was room for two again
    assert [line.split()[-1] for line in _curve(store, run.key)] == ["workers", *"22222"]
    assert "1 of 1 run finished" in out
    assert sorted(path.name for path in (store / "checkpoints" / run.key).iterdir()) == ["step-000000016.pt"]
    assert not list(store.glob(".train/*"))
    config = apply_overrides(find_study(str(tmp_path / "small.py")).cells[0].config, [GROUPS])
    undisturbed = on_workers(2, kept, replace(config, rule=KolenPollack()), tmp_path / "alone")[0]
    assert undisturbed is not None
    assert numbers(run) == without_times(undisturbed)


def test_nowt_train_gives_its_run_to_two_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[tuple[int, int, int]] = []

    def run(scheduler: Scheduler, placement: Placement, study: str, slots: int) -> bool:
        given.append((placement.min_workers, placement.max_workers, slots))
        return local.run(scheduler, replace(placement, workers=1))

    monkeypatch.setattr("nowt.execution.ray_train.runner.run", run)
    short = "--epochs 1 --data.train_limit 128 --data.repeat 1 --data.size 8"
    words = f"train digits --store {tmp_path}/runs --workers 2 --{GROUPS.path} {GROUPS.text} {short}"
    assert main(words.split()) == 0
    assert given == [(2, 2, 1)]
    (found,) = logs(tmp_path / "runs").values()
    out = capsys.readouterr().out
    assert f"run {found.key} starts" in out and f"run {found.key} finished" in out
