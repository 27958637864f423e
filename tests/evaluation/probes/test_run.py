"""``nowt probe`` on trained studies: results, repetition, interruption, custom metrics, and one-line errors."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from nowt.cli.main import main
from nowt.config.run_config import DataConfig, ModelConfig
from nowt.evaluation.probes.results import read_results
from tests.support.kept_studies import kept_study

Captured = pytest.CaptureFixture[str]

FEW = ["--images", "8"]

CUSTOM = '''
"""Fraction of misclassified images, and distance of the outputs from those before learning."""


def measure(model, x, y, start):
    moved = (model(x) - start(x)).norm()
    return {"wrong": (model(x).argmax(1) != y).float().mean(), "moved": moved}
'''

INTERRUPTED = '''
"""A metric whose third call is interrupted by Ctrl-C, once."""

from pathlib import Path

CALLS = Path(__file__).with_suffix(".calls")


def measure(model):
    with CALLS.open("a") as file:
        file.write("x")
    if CALLS.stat().st_size == 3:
        raise KeyboardInterrupt
    return {"all": 1.0}
'''


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a study of bp and fa under two seeds, with the checkpoints of all epochs."""
    store = tmp_path_factory.mktemp("kept") / "store"
    kept_study(store)
    return store


@pytest.fixture
def kept(trained: Path, tmp_path: Path) -> Path:
    """A copy of that store that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "store"))


def probe(store: Path, metric: str | Path, *options: str, study: str = "kept") -> int:
    return main(["probe", study, "--metric", str(metric), "--store", str(store), *(options or FEW)])


def lines(store: Path, metric: str) -> list[dict[str, Any]]:
    [path] = (store / "probes").glob(f"kept-????????/{metric}.jsonl")
    return read_results(path)


def files(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*.*") if path.is_file()}


def test_every_kept_checkpoint_is_measured_and_nothing_else_changes(kept: Path, capsys: Captured) -> None:
    before, generator = files(kept), torch.get_rng_state()
    assert probe(kept, "gradient_cosine") == 0
    out = capsys.readouterr().out
    assert "[4/4] fa seed 1: epoch 0, 1, 2" in out and "12 checkpoints measured" in out
    assert torch.equal(torch.get_rng_state(), generator)
    assert {path: what for path, what in files(kept).items() if "probes" not in path.parts} == before
    found = {(line["cell"], line["seed"], line["epoch"]): line["values"] for line in lines(kept, "gradient_cosine")}
    assert set(found) == {(cell, seed, epoch) for cell in ("bp", "fa") for seed in (0, 1) for epoch in (0, 1, 2)}
    for (cell, _, _), values in found.items():
        assert (values["all"] == pytest.approx(1.0, abs=1e-9)) is (cell == "bp")
        assert values["fc"] == pytest.approx(1.0, abs=1e-9)  # the error of the last layer passes no B


def test_weight_change_is_exactly_0_at_epoch_0(kept: Path) -> None:
    assert probe(kept, "weight_change") == 0
    for line in lines(kept, "weight_change"):
        moved = set(line["values"].values())
        assert moved == {0.0} if line["epoch"] == 0 else min(moved) > 0


def test_runs_are_measured_on_the_images_of_their_own_split(tmp_path: Path) -> None:
    store = tmp_path / "store"
    model, data = ModelConfig("mlp", hidden=(8,)), DataConfig("digits", train_limit=48, split="by_seed")
    kept_study(store, keep=(2,), model=model, data=data)
    (tmp_path / "shown.py").write_text("def measure(model, x):\n    return {'all': float(x.sum())}\n")
    assert probe(store, tmp_path / "shown.py", "--images", "8", "--split", "train") == 0
    sums = {(line["cell"], line["seed"]): line["values"]["all"] for line in lines(store, "shown")}
    assert sums["bp", 0] == sums["fa", 0] != sums["bp", 1] == sums["fa", 1]


def test_cka_compares_with_the_reference_cell_at_the_same_seed_and_epoch(kept: Path) -> None:
    assert probe(kept, "cka") == 0
    found = lines(kept, "cka")
    assert [(line["cell"], line["seed"], line["epoch"]) for line in found] == [
        ("fa", seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)
    ]
    for line in found:
        assert line["against"] == "bp"
        similarity = line["values"]["layer3.0.conv2"]
        assert (similarity == pytest.approx(1.0, abs=1e-6)) is (line["epoch"] == 0)  # equal W initially


def test_repeating_the_command_measures_only_what_is_missing(kept: Path, capsys: Captured) -> None:
    probe(kept, "weight_change")
    [path] = (kept / "probes").glob("*/weight_change.jsonl")
    whole = path.read_bytes()
    capsys.readouterr()
    assert probe(kept, "weight_change") == 0 and path.read_bytes() == whole
    assert "0 checkpoints measured, 12 measured before" in capsys.readouterr().out
    path.write_bytes(whole[: len(whole) * 2 // 3])  # ends within a line
    assert probe(kept, "weight_change") == 0 and path.read_bytes() == whole
    assert probe(kept, "weight_change", "--images", "16") == 0  # another setting
    assert len(read_results(path)) == 24 and path.read_bytes().startswith(whole)


def test_an_interrupted_probe_resumes(kept: Path, tmp_path: Path, capsys: Captured) -> None:
    own = tmp_path / "interrupted.py"
    own.write_text(INTERRUPTED)
    assert probe(kept, own) == 130
    assert "run the same command again: nowt probe kept" in capsys.readouterr().err
    assert len(lines(kept, "interrupted")) == 2
    assert probe(kept, own) == 0
    assert len(lines(kept, "interrupted")) == 12 and own.with_suffix(".calls").stat().st_size == 13


def test_a_custom_metric_is_a_file_and_an_edit_measures_everything_again(kept: Path, tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text(CUSTOM)
    assert probe(kept, own) == 0
    found = lines(kept, "mine")
    assert all(0 <= line["values"]["wrong"] <= 1 for line in found)
    assert all(line["others"] == ["wrong", "moved"] for line in found)
    assert all((line["values"]["moved"] == 0) is (line["epoch"] == 0) for line in found)
    own.write_text(CUSTOM.replace("wrong", "missed"))
    assert probe(kept, own) == 0
    names = [set(line["values"]) for line in lines(kept, "mine")]
    assert names == [{"wrong", "moved"}] * 12 + [{"missed", "moved"}] * 12


def test_a_metric_without_defined_numbers_is_reported(kept: Path, tmp_path: Path, capsys: Captured) -> None:
    own = tmp_path / "nothing.py"
    own.write_text("def measure(model, x, y):\n    return {'nothing': float('nan')}\n")
    assert probe(kept, own) == 0
    assert "12 of them have no defined number, and appear in no figure" in capsys.readouterr().out


def test_an_installed_package_provides_a_metric(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab_probes.py").write_text("def one(x):\n    return {'all': float(len(x)), 'none': float('nan')}\n")
    info = tmp_path / "lab-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[nowt.probes]\nlab_one = lab_probes:one\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert probe(kept, "lab_one") == 0
    assert {json.dumps(line["values"]) for line in lines(kept, "lab_one")} == {'{"all": 8.0, "none": null}'}


def test_a_damaged_checkpoint_is_reported_and_the_others_are_measured(kept: Path, capsys: Captured) -> None:
    path = min((kept / "checkpoints").glob("*/epoch-000001.pt"))
    path.write_bytes(b"this is not a checkpoint\n")
    assert probe(kept, "weight_change") == 0
    out = capsys.readouterr().out
    assert f"skipped checkpoint {path}, which cannot be read: " in out
    assert "11 checkpoints measured" in out


def test_if_only_the_last_checkpoint_is_kept_it_is_measured_with_a_hint(tmp_path: Path, capsys: Captured) -> None:
    kept_study(tmp_path, keep="last", seeds=(0,))
    assert probe(tmp_path, "cka") == 0
    assert [line["epoch"] for line in lines(tmp_path, "cka")] == [2]
    assert "only one epoch per run is kept: for new runs, use --keep-checkpoints" in capsys.readouterr().out
    for folder in (tmp_path / "checkpoints").iterdir():
        shutil.rmtree(folder)
    assert_one_line_error("no run of study kept-", capsys, probe(tmp_path, "cka"))


def assert_one_line_error(text: str, capsys: Captured, code: int) -> None:
    err = capsys.readouterr().err
    assert code == 2 and err.startswith("nowt: ") and err.count("\n") == 1 and text in err


def test_a_wrong_option_is_reported_in_one_line(trained: Path, tmp_path: Path, capsys: Captured) -> None:
    store = trained
    assert_one_line_error("unknown metric 'ckka' (did you mean cka?)", capsys, probe(store, "ckka"))
    assert_one_line_error(
        "has no study 'kpet' (did you mean kept?); it has: kept", capsys, probe(store, "cka", study="kpet")
    )
    assert_one_line_error("has no study 'kept': start one with", capsys, probe(tmp_path, "cka"))
    assert_one_line_error(
        "--images is 5000, but the val split has only", capsys, probe(store, "cka", "--images", "5000")
    )
    assert_one_line_error("--images is 0: must be at least 1", capsys, probe(store, "cka", "--images", "0"))
    assert_one_line_error("CKA needs at least 4 images, got 3", capsys, probe(store, "cka", "--images", "3"))
    assert_one_line_error(
        "--split is 'vall': must be one of train, val, test", capsys, probe(store, "cka", "--split", "vall")
    )
    assert_one_line_error("does not use its test images", capsys, probe(store, "cka", *FEW, "--split", "test"))
    assert_one_line_error("there is no option --optim.lr", capsys, probe(store, "cka", "--optim.lr", "1"))
    assert_one_line_error("digits needs none", capsys, probe(store, "cka", "--data-dir", "pictures"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def measure(modl): return {}",
            "has an unknown argument 'modl' (did you mean model?); available: model, x, y, loss",
        ),
        ("def measure(x): return 3.0", "TypeError: it returned 3.0; it must return numbers by name"),
        ("def measure(x): return x @ x", "own on bp seed 0 (run "),
        ("measure = 3", "metric own is a int: it must be a function"),
        ("def mesure(x): return {}", "defines no 'measure' (did you mean mesure?)"),
    ],
)
def test_a_mistake_in_a_custom_metric_is_reported(text: str, message: str, kept: Path, capsys: Captured) -> None:
    own = kept.parent / "own.py"
    own.write_text(text + "\n")
    assert_one_line_error(message, capsys, probe(kept, own))


def test_runs_trained_on_other_images_are_refused(kept: Path, capsys: Captured) -> None:
    for path in (kept / "logs").glob("*.jsonl"):
        path.write_text(path.read_text().replace('"train_limit": 48', '"train_limit": 64'))
    assert_one_line_error("was trained with other images", capsys, probe(kept, "cka"))
