"""Files that are no checkpoint of this run, or damaged in ways that torch does not detect: the one before is used."""

import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nowt.training import checkpoint
from nowt.training.loop import TrainingInterrupted, train
from tests.support.short_runs import CPU, STEPS, after, short_run

CONFIG = short_run("kp")


def test_a_changed_bit_in_the_structure_is_damage(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, {"w": torch.arange(6.0), "step": 1, "losses": [0.1, None], "name": "kp"})
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        (structure,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        start, size = content.index(archive.read(structure)), archive.getinfo(structure).file_size
    draws = random.Random(1)
    for _ in range(300):
        changed = bytearray(content)
        changed[start + draws.randrange(size)] ^= 1 << draws.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(checkpoint.DamagedCheckpoint):
            checkpoint.read(path)


class Unloadable:
    """Its content can be read only by running code, which nowt does not."""


def without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda state: {key: value for key, value in state.items() if key != name}


def changed(name: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda state: {**state, name: value}


FOREIGN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda state: [1, 2],
    "a tensor": lambda state: torch.zeros(2),
    "an object": lambda state: Unloadable(),
    "no model": without("model"),
    "no totals": without("totals"),
    "no step": without("step"),
    "model": changed("model", [1]),
    "names of the model": changed("model", {1: torch.zeros(1)}),
    "optimizer": changed("optimizer", {"state": {}}),
    "groups": changed("optimizer", {"state": {}, "param_groups": [{}]}),
    "epochs": changed("epochs", [{"epoch": 0}]),
    "step": changed("step", "1"),
    "position": changed("position", -1),
    "seconds": changed("seconds", float("nan")),
    "totals": changed("totals", (1, 2)),
    "run": changed("run", "{"),
    "other run": changed("run", "[]"),
}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The state of an interrupted run."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(TrainingInterrupted):
        list(train(CONFIG, CPU, checkpoints=folder, should_stop=after(STEPS + 1)))
    return checkpoint.read(checkpoint.saved(folder)[-1])


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
def test_a_run_resumes_from_the_checkpoint_before_one_of_another_program(
    foreign: Callable[[dict[str, Any]], Any], state: dict[str, Any], tmp_path: Path
) -> None:
    checkpoint.save(tmp_path, 1, state)
    torch.save(foreign(state), tmp_path / "step-000000099.pt")
    with pytest.warns(UserWarning, match=r"step-000000099\.pt cannot be read .* and is now step-000000099\.pt\.unread"):
        first = next(train(CONFIG, CPU, checkpoints=tmp_path))
    assert first.epoch == 0 and (tmp_path / "step-000000099.pt.unreadable").exists()


def test_a_pipe_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, {"step": 1})
    os.mkfifo(tmp_path / "step-000000009.pt")
    checkpoint.prune(tmp_path, max_to_keep=1)
    with pytest.warns(UserWarning, match="it is not a file"):
        assert checkpoint.load(tmp_path) == {"step": 1}


def test_a_compressed_archive_is_not_unpacked(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, {"w": torch.zeros(100_000)})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(checkpoint.DamagedCheckpoint, match="compressed"):
        checkpoint.read(path)
