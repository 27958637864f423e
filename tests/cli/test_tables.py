"""What nowt prints about runs and studies: states, undefined numbers, earlier results, and the remaining time."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nowt.cli.main import main
from nowt.config.recipes import digits
from nowt.config.run_config import config_to_json
from nowt.config.run_key import run_key
from nowt.rules.registry import find_rule
from nowt.store.certificates import CERTIFIER, certifying_versions, module_digest
from nowt.store.records import Epoch, Layer
from nowt.store.run_log import LogWriter, read_all
from nowt.store.study_file import write_study_file
from nowt.studies.planning.estimate import duration
from tests.support.earlier_store import epoch
from tests.support.small_studies import OWN, write_study
from tests.support.synthetic_store import CHANCE, NAN, key_of, rules_study, write_store

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

Captured = pytest.CaptureFixture[str]

SMALL = "--data.train_limit 64 --data.repeat 1 --data.size 8 --epochs 1"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_run(
    store: Path,
    epochs: list[Epoch],
    state: str = "finished",
    reason: str = "",
    custom: str = "",
    source: str = "fa",
) -> str:
    """Write the log of a run on digits, of fa or of the ``custom`` rule of a file, and return its key."""
    config = replace(digits(find_rule("fa")()), epochs=max(len(epochs) - 1, 1))
    key, data = run_key(config, f"made-up {custom}"), config_to_json(config)
    data["rule"]["name"] = source
    named = {"rule_name": custom} if custom else {}
    writer = LogWriter.open(store, key)
    writer.start(key, config=data, **named, fingerprint="made-up", classes=10)
    for each in epochs:
        writer.epoch(each)
    writer.end(state, reason)
    return key


def printed(words: str, code: int, capsys: Captured) -> str:
    assert main(words.split()) == code
    out, err = capsys.readouterr()
    return out if code == 0 else err


def test_a_missing_image_folder_is_asked_for_by_its_option(capsys: Captured) -> None:
    words = "train digits --data.name folder --data.noise 0"
    assert "no data folder is given (--data-dir, Placement.data): folder needs" in printed(words, 2, capsys)
    assert "none is not a folder: the data folder must" in printed(f"{words} --data-dir none", 2, capsys)


def test_epoch_zero_has_no_training_loss(here: Path, capsys: Captured) -> None:
    out = printed(f"train digits {SMALL}", 0, capsys)
    assert "epoch   0  train loss -  " in out and "nan" not in out
    [run] = read_all(here / "runs")
    assert "nan" not in printed(f"show {run.key}", 0, capsys)


def test_the_error_of_a_run_that_trains_on_the_validation_images_is_that_on_test_images(
    here: Path, capsys: Captured
) -> None:
    out = printed(f"train digits {SMALL} --data.hold_out false", 0, capsys)
    assert out.count("  test error ") == 2 and "val error" not in out
    [last] = [line for line in out.splitlines() if line.startswith("epoch   1")]
    error = last.partition("test error ")[2].partition(" %")[0].strip()
    assert re.search(rf" error +state.*test {re.escape(error)} %", printed("runs", 0, capsys), re.DOTALL)
    printed(f"train digits {SMALL}", 0, capsys)
    both = printed("runs", 0, capsys)
    assert both.count(" test ") == 1 and both.count(" val ") == 1


def test_a_diverged_run_is_reported_once(here: Path, capsys: Captured) -> None:
    out = printed(f"train digits {SMALL} --optim.lr 1e38 --optim.warmup 0", 0, capsys)
    [run] = read_all(here / "runs")
    assert f"run {run.key} diverged at epoch 1" in out
    assert f"run {run.key}: diverged at epoch 1" in printed(f"show {run.key}", 0, capsys)


def rows_of(table: str) -> dict[str, str]:
    """The lines of a table by their first word."""
    return {line.split()[0]: line for line in table.splitlines() if line.strip()}


def test_runs_at_chance_and_diverged_ones_are_marked_in_the_list(here: Path, capsys: Captured) -> None:
    study = rules_study(names=["bp", "fa", "kp"], seeds=1, epochs=3)

    def error(cell: str, seed: int, epoch: int) -> float:
        return 0.95 if epoch == 0 else CHANCE if cell == "fa" else 0.2

    write_store(here / "healthy", study, layers=2, error=lambda cell, seed, epoch: error("", seed, epoch))
    assert "warning" not in printed("runs --store healthy", 0, capsys)
    write_store(here / "runs", study, layers=2, diverged={("kp", 0): 1}, error=error)
    lines = rows_of(printed("runs", 0, capsys))
    bp, fa, kp = (lines[key_of(study, cell, 0)] for cell in ("bp", "fa", "kp"))
    assert lines["run"].split()[-2:] == ["state", "warning"] and bp.rstrip().endswith("finished")
    assert "at chance" in fa and "diverged  error of epoch 1, before it diverged" in kp


def test_runs_that_were_trained_again_are_marked_in_the_list_and_on_their_page(here: Path, capsys: Captured) -> None:
    study = write_store(here / "runs", rules_study(names=["bp", "fa"], seeds=1, epochs=2), layers=2)
    assert "superseded" not in printed("runs", 0, capsys)
    old, new = key_of(study, "fa", 0), write_run(here / "runs", [epoch(0), epoch(1)])
    path = here / "runs" / "studies" / f"{study.key}.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "runs": [*data["runs"], {"key": new, "cell": "fa", "seed": 0}]}))
    for command in ("runs", f"runs --study {study.name}", f"runs --study {study.key} --rule fa"):
        lines = rows_of(printed(command, 0, capsys))
        assert lines["run"].endswith("superseded by") and lines[old].rstrip().endswith(f"  {new}")
        assert lines[new].rstrip().endswith("finished")
    assert f"superseded by run {new}, of the same cell and seed with" in printed(f"show {old}", 0, capsys)
    assert "superseded" not in printed(f"show {new}", 0, capsys)


def test_lost_layers_are_marked_in_the_list_and_named_in_quotation_marks(here: Path, capsys: Captured) -> None:
    lost = (Layer("0", 0, 80.0, 70.0, 1.0), Layer("1", 1, 80.0, NAN, 1.0), Layer("2", 2, 85.0, 0.0, 1.0))
    key = write_run(here / "runs", [epoch(0), epoch(1, 0.5, lost)])
    assert printed("runs", 0, capsys).rstrip().endswith("finished  1 of 3 layers without a signal")
    warning = "warning: 1 of 3 layers without a finite error signal or without feedback: layer '1'\n"
    assert warning in printed(f"show {key}", 0, capsys)


def test_show_says_after_which_epoch_the_alignment_was_measured(here: Path, capsys: Captured) -> None:
    angles = (Layer("first", 0, 80.0, 70.0, 1.0), Layer("last", 1, 85.0, 0.0, 1.0))
    key = write_run(here / "runs", [epoch(0, layers=angles)], "diverged", "diverged at epoch 1")
    when = "alignment at epoch 0, before learning (the last that was measured):\nlayer   matrix angle"
    assert when in printed(f"show {key}", 0, capsys)
    key = write_run(here / "every", [epoch(0, layers=angles), epoch(1, layers=angles)])
    assert "\nalignment after epoch 1:\nlayer" in printed(f"show {key} --store every", 0, capsys)
    key = write_run(here / "two", [epoch(0), epoch(1, layers=angles), epoch(2)])
    assert "alignment after epoch 1 (the last that was measured):" in printed(f"show {key} --store two", 0, capsys)


def test_the_numbers_of_an_exploded_run_keep_three_digits(here: Path, capsys: Captured) -> None:
    layers = (
        Layer("tiny", 0, 0.0031, 70.0, 4.56e-9),
        Layer("huge", 1, 80.0, 70.0, 2.5e20),
        Layer("none", 2, 80.0, 70.0, 0.0),
        Layer("last", 3, 85.0, 0.0, 0.98512),
    )
    key = write_run(here / "runs", [epoch(0), replace(epoch(1, layers=layers), train_loss=8.61e20)])
    page = printed(f"show {key}", 0, capsys)
    lines = rows_of(page)
    ratios = {name: lines[name].split()[-1] for name in ("tiny", "huge", "none", "last")}
    assert ratios == {"tiny": "4.56e-09", "huge": "2.50e+20", "none": "0.000", "last": "0.985"}
    assert "< 0.01°" in lines["tiny"] and " 0.00° " in lines["last"]
    assert " 8.61e+20 " in page and "861000000" not in page


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
    certificate: dict[str, Any] = {
        "rule": "bp",
        "verdict": "no weight transport",
        "code": {CERTIFIER: module_digest(CERTIFIER)},
        "versions": certifying_versions(),
    }
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
    assert "  mine (mine.py)  " in printed("runs", 0, capsys)
    assert "no matching runs" in printed("runs --rule min", 0, capsys)
    error = printed("runs --state done", 2, capsys)
    assert "--state is 'done'" in error and "running, finished, diverged, failed" in error and error.count("\n") == 1


def test_custom_rules_are_listed_by_their_names_and_files(here: Path, capsys: Captured) -> None:
    files = {"one": "/lab/two.py:One", "two": "/lab/two.py:Two", "three": "/old/three.py", "four": "/new/three.py"}
    keys = {
        name: write_run(here / "runs", [epoch(0), epoch(1)], custom=name, source=source)
        for name, source in files.items()
    }
    lines = rows_of(printed("runs", 0, capsys))
    shown = {name: lines[key] for name, key in keys.items()}
    assert "  one (two.py:One)  " in shown["one"] and "  two (two.py:Two)  " in shown["two"]
    assert "  three (/old/three.py)  " in shown["three"] and "  four (/new/three.py)  " in shown["four"]
    for name in ("one", "One", "two.py:One"):
        assert list(rows_of(printed(f"runs --rule {name}", 0, capsys))) == ["run", keys["one"]]
    assert "\nrule one (two.py:One)\n" in printed(f"show {keys['one']}", 0, capsys)


def test_a_resumed_study_counts_its_finished_runs(here: Path, capsys: Captured) -> None:
    (here / "mine.py").write_text(OWN)  # one's own is not certified first
    write_study(here, '{"a": small("./mine.py"), "b": small("./mine.py", momentum=0.8)}')
    first = printed("ablate ./small.py --in-process --epochs 1", 0, capsys)
    assert "[2/2]" in first and "before" not in first
    again = printed("ablate ./small.py --in-process --epochs 1", 0, capsys)
    assert "2 of 2 runs had finished before" in again and "[" not in again and " left" not in again
    more = printed("ablate ./small.py --in-process --epochs 1 --seeds 2", 0, capsys)
    assert "2 of 4 runs had finished before" in more and "[3/4]" in more and "[2/4]" not in more


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
def test_theduration_of_a_plan_is_readable(hours: float, words: str) -> None:
    assert duration(hours) == words
