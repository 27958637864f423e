"""What MLflow shows of a run and of a study, derived from log and study file."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nowt.core.fields import flatten
from nowt.store.listed_runs import ListedRun
from nowt.store.records import Layer
from nowt.store.study_file import StudyFile
from nowt.tracking.projection import StudyCounts, describe_run, describe_study, metrics_of, text_of, truncate
from tests.support.mlflow_contents import NAN, epoch, start


def test_tracking_does_not_import_torch() -> None:
    code = "import sys, nowt.tracking; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_setting_becomes_text_under_its_dotted_name() -> None:
    settings = {"rule": {"name": "kp", "last": None}, "sizes": [5, 3], "on": True, "lr": 1e-4, "empty": {}}
    assert {name: text_of(value) for name, value in flatten(settings).items()} == {
        "rule.name": "kp",
        "rule.last": "none",
        "sizes": "[5, 3]",
        "on": "true",
        "lr": "0.0001",
        "empty": "{}",
    }


def test_angles_are_summarized_over_the_layers_and_the_output_layers_delta_is_left_out() -> None:
    layers = (Layer("a", 0, 80.0, 70.0, 1.0), Layer("c", 2, 20.0, 0.0, 3.0), Layer("b", 1, 50.0, 30.0, 2.0))
    found = metrics_of(epoch(1, *layers))
    assert {name: value for name, value in found.items() if "/" in name} == {
        "matrix_angle/min": 20.0,
        "matrix_angle/median": 50.0,
        "matrix_angle/max": 80.0,
        "matrix_angle/last_layer": 20.0,
        "delta_angle/min": 30.0,
        "delta_angle/median": 50.0,
        "delta_angle/max": 70.0,
        "norm_ratio/min": 1.0,
        "norm_ratio/median": 2.0,
        "norm_ratio/max": 3.0,
        "norm_ratio/last_layer": 3.0,
    }


def test_an_angle_that_is_undefined_in_a_layer_is_not_summarized() -> None:
    dead = (Layer("a", 0, 80.0, NAN, 1.0), Layer("b", 1, 70.0, NAN, 1.0), Layer("c", 2, 60.0, 0.0, 1.0))
    found = metrics_of(epoch(1, *dead))
    assert not any(name.startswith("delta_angle") for name in found)
    assert found["matrix_angle/median"] == 70.0
    unknown = metrics_of(epoch(1, Layer("a", 0, 80.0, 10.0, 1.0), Layer("b", 1, NAN, 0.0, 1.0)))
    assert not any(name.startswith("matrix_angle") for name in unknown)
    assert unknown["delta_angle/median"] == 10.0


def test_undefined_metrics_are_omitted() -> None:
    found = metrics_of(epoch(1, test_error=NAN))
    assert "test_loss" not in found and "test_error" not in found
    assert found["val_error"] == 0.4
    assert all(math.isfinite(value) for value in found.values())


def test_a_text_too_long_for_mlflow_is_cut_in_the_middle() -> None:
    text = "Traceback" + "x" * 20_000 + "ValueError: no"
    short = truncate(text, 8000)
    assert len(short) <= 8000
    assert short.startswith("Traceback") and short.endswith("ValueError: no")
    assert "characters cut" in short
    assert truncate("short", 8000) == "short"


def of_study(key: str) -> StudyFile:
    return StudyFile(1, key.partition("-")[0], "Which learns?", "bp", [0], key=key, created=1)


def test_a_run_is_tagged_with_its_settings_and_its_provenance(tmp_path: Path) -> None:
    run = start(tmp_path, "0123456789ab", seed=4).run
    page = describe_run(run, of_study("noise-12345678"), "loud", 4)
    assert page.name == "loud, seed 4, bp, tiny_resnet"
    assert page.start == run.start["time"]
    assert page.params["optim.lr"] == "0.05"
    assert page.tags == {
        "nowt.key": "0123456789ab",
        "study": "noise-12345678",
        "cell": "loud",
        "mlflow.note.content": "Which learns? This run: cell loud, seed 4.",
        "rule": "bp",
        "model": "tiny_resnet",
        "seed": "4",
        "data.fingerprint": "pictures",
        "data.skipped": "1",
        "git.commit": "abc",
        "git.dirty": "true",
        "version.torch": "2.14.1",
        "attempts": "1",
        "attempts.changed": "",
        "earlier.keys": "",
        "superseded.by": "",
        "state": "running",
        "reason": "",
        "warning": "",
        "audit": "",
    }


def test_a_cell_with_the_name_of_its_rule_is_named_once(tmp_path: Path) -> None:
    run = start(tmp_path, "0123456789ab").run
    assert describe_run(run, of_study("rules-12345678"), "bp", 0).name == "bp, seed 0, tiny_resnet"


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ({}, "running"),
        ({"a": "finished"}, "running"),
        ({"a": "finished", "b": "diverged"}, "finished"),
        ({"a": "finished", "b": "failed"}, "failed"),
        ({"a": "failed", "b": "running"}, "running"),
    ],
)
def test_the_state_of_a_study_follows_from_its_runs(states: dict[str, str], state: str, tmp_path: Path) -> None:
    study_file = replace(of_study("s-1"), runs=[ListedRun(key, key, 0) for key in "ab"])
    progress = StudyCounts()
    for key, name in states.items():
        progress.update(key, "running", None)
        assert progress.update(key, name, None) == (name != "running")
    assert describe_study(study_file, progress).state == state


def test_a_run_without_a_commit_has_no_git_tags(tmp_path: Path) -> None:
    run = start(tmp_path, "0123456789ab").run
    bare = replace(run, start={**run.start, "git": {"commit": "", "dirty": False}})
    tags = describe_run(bare, None, "", 0).tags
    assert (tags["git.commit"], tags["git.dirty"]) == ("", "")  # an empty one is not shown
