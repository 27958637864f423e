"""What nowt prints about runs and studies: states, undefined numbers, earlier results, and the remaining time."""

import json
from pathlib import Path
from typing import Any

import pytest

from nowt.cli.main import main
from nowt.store.certificates import certifying_versions
from nowt.store.run_log import read_all
from nowt.store.study_file import write_study_file
from nowt.studies.planning.estimate import _duration
from tests.support.small_studies import OWN, write_study

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

Captured = pytest.CaptureFixture[str]

SMALL = "--data.train_limit 64 --data.repeat 1 --data.size 8 --epochs 1"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(words: str, code: int, capsys: Captured) -> str:
    assert main(words.split()) == code
    out, err = capsys.readouterr()
    return out if code == 0 else err


def test_a_missing_image_folder_is_asked_for_by_its_option(capsys: Captured) -> None:
    words = "train digits --data.name folder --data.noise 0"
    assert "folder needs --data-dir" in printed(words, 2, capsys)
    assert "none is not a folder: --data-dir must" in printed(f"{words} --data-dir none", 2, capsys)


def test_epoch_zero_has_no_training_loss(here: Path, capsys: Captured) -> None:
    out = printed(f"train digits {SMALL}", 0, capsys)
    assert "epoch   0  train loss -  " in out and "nan" not in out
    [run] = read_all(here / "runs")
    assert "nan" not in printed(f"show {run.key}", 0, capsys)


def test_a_diverged_run_is_reported_once(here: Path, capsys: Captured) -> None:
    out = printed(f"train digits {SMALL} --optim.lr 1e38 --optim.warmup 0", 0, capsys)
    [run] = read_all(here / "runs")
    assert f"run {run.key} diverged at epoch 1" in out
    assert f"run {run.key}: diverged at epoch 1" in printed(f"show {run.key}", 0, capsys)


def test_a_run_whose_process_has_ended_is_interrupted_and_shows_where_it_resumes(here: Path, capsys: Captured) -> None:
    long = SMALL.replace("--epochs 1", "--epochs 2")
    printed(f"train digits {long}", 0, capsys)
    [run] = read_all(here / "runs")
    path = here / "runs" / "logs" / f"{run.key}.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3]))  # start, epochs 0 and 1
    assert "interrupted" in printed("runs --state interrupted", 0, capsys)
    assert f"run {run.key}: interrupted; run its command again to resume" in printed(f"show {run.key}", 0, capsys)
    assert f"run {run.key} resumes after epoch 1" in printed(f"train digits {long}", 0, capsys)
    assert "finished" in printed("runs --state finished", 0, capsys)


def test_show_says_what_the_certificate_says_and_whether_it_is_outdated(here: Path, capsys: Captured) -> None:
    printed(f"train digits {SMALL}", 0, capsys)
    [run] = read_all(here / "runs")
    assert "certificate" not in printed(f"show {run.key}", 0, capsys)
    path = here / "runs" / "certificates" / run.start["certificate"]
    path.parent.mkdir()
    certificate: dict[str, Any] = {"verdict": "no weight transport", "code": {}, "versions": certifying_versions()}
    path.write_text(json.dumps(certificate))
    assert f"\n{path.name}: no weight transport\n" in printed(f"show {run.key}", 0, capsys)
    del certificate["code"]
    path.write_text(json.dumps(certificate))
    outdated = f"{path.name}: no weight transport (outdated: an earlier version of nowt wrote it)"
    assert outdated in printed(f"show {run.key}", 0, capsys)


def test_an_unknown_study_is_answered_with_the_existing_ones(here: Path, capsys: Captured) -> None:
    printed(f"train digits {SMALL}", 0, capsys)
    assert "has no study 'small': start one with" in printed("runs --study small", 2, capsys)


def test_show_says_that_a_name_is_that_of_a_study(here: Path, capsys: Captured) -> None:
    write_study_file(here / "runs", "s-00000001", {"name": "s", "question": "?", "reference": "bp", "seeds": []})
    assert printed("show s", 2, capsys) == "nowt: s is a study, not a run: nowt runs --study s lists its runs\n"


def test_runs_are_found_by_rule_and_state(here: Path, capsys: Captured) -> None:
    assert "there is no store runs: " in printed("runs", 0, capsys)
    (here / "mine.py").write_text(OWN)
    printed(f"train digits {SMALL} --rule ./mine.py", 0, capsys)
    [run] = read_all(here / "runs")
    for name in ("mine", "mine.py", "./mine.py"):
        assert run.key in printed(f"runs --rule {name} --state finished", 0, capsys)
    assert "no matching runs" in printed("runs --rule min", 0, capsys)
    error = printed("runs --state done", 2, capsys)
    assert "--state is 'done'" in error and "running, finished, diverged, failed" in error and error.count("\n") == 1


def test_a_resumed_study_counts_its_finished_runs(here: Path, capsys: Captured) -> None:
    (here / "mine.py").write_text(OWN)  # one's own is not certified first
    write_study(here, '{"a": small("./mine.py"), "b": small("./mine.py", momentum=0.8)}')
    first = printed("ablate ./small.py --in-process --epochs 1", 0, capsys)
    assert "[2/2]" in first and "before" not in first
    again = printed("ablate ./small.py --in-process --epochs 1", 0, capsys)
    assert "2 of 2 runs were finished before" in again and "[" not in again and " left" not in again
    more = printed("ablate ./small.py --in-process --epochs 1 --seeds 2", 0, capsys)
    assert "2 of 4 runs were finished before" in more and "[3/4]" in more and "[2/4]" not in more


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (0.001, "less than a minute"),
        (1 / 60, "about 1 minute"),
        (0.5, "about 30 minutes"),
        (0.999, "about 1.0 hours"),
        (2.52, "about 2.5 hours"),
    ],
)
def test_the_duration_of_a_plan_is_readable(hours: float, words: str) -> None:
    assert _duration(hours) == words
