"""Checkpoints: written atomically, two during a run and one afterwards; damaged ones are skipped with a warning."""

import errno
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nowt.core.errors import ConfigError
from nowt.core.process_identity import host_name
from nowt.store.records import Epoch
from nowt.training import checkpoint
from nowt.training.loop import TrainingInterrupted, train
from tests.support.ended_processes import ended_process
from tests.support.short_runs import CPU, STEPS, after, assert_equal, numbers, short_run, tensors

CONFIG = short_run("kp")


@pytest.fixture(scope="module")
def expected() -> list[dict[str, Any]]:
    """The measurements of an uninterrupted run."""
    return numbers(train(CONFIG, CPU))


def names(folder: Path) -> list[str]:
    """Return the file names in the folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def interrupted_run(folder: Path, steps: int) -> list[Path]:
    """Stop the run after ``steps`` batches, and return its checkpoints, the oldest first."""
    with pytest.raises(TrainingInterrupted):
        list(train(CONFIG, CPU, checkpoints=folder, should_stop=after(steps)))
    return sorted(folder.iterdir())


def test_two_checkpoints_are_kept_during_a_run_and_one_afterwards(tmp_path: Path) -> None:
    found = [names(tmp_path) for _ in train(replace(CONFIG, epochs=3), CPU, checkpoints=tmp_path)]
    zero, first, second, third = (f"step-{step:09d}.pt" for step in (0, 3, 6, 9))
    assert found == [[zero], [zero, first], [first, second], [second, third]]
    assert names(tmp_path) == [third]


def test_without_a_checkpoint_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    list(train(replace(CONFIG, epochs=1), replace(CPU, checkpoint_seconds=0)))
    assert names(tmp_path) == []


def test_checkpoint_seconds_sets_how_often_checkpoints_are_written_within_an_epoch(tmp_path: Path) -> None:
    frequent, rare = tmp_path / "frequent", tmp_path / "rare"
    for folder, seconds in ((frequent, 0.0), (rare, 600.0)):
        with pytest.raises(RuntimeError, match="the machine failed"):
            list(train(CONFIG, replace(CPU, checkpoint_seconds=seconds), checkpoints=folder, should_stop=failing(5)))
    assert names(frequent) == ["step-000000003.pt", "step-000000004.pt"]
    assert names(rare) == ["step-000000000.pt", "step-000000003.pt"]


def failing(steps: int) -> Any:
    """Return a ``should_stop`` that raises after ``steps`` batches, before a checkpoint is saved."""
    reached = after(steps)

    def should_stop() -> bool:
        if reached():
            raise RuntimeError("the machine failed")
        return False

    return should_stop


@pytest.mark.parametrize("seconds", [0.0, 600.0])
@pytest.mark.parametrize("steps", [1, 4, 6])
def test_after_a_machine_failure_a_run_resumes_from_its_last_checkpoint(
    seconds: float, steps: int, expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    placement = replace(CPU, checkpoint_seconds=seconds)
    with pytest.raises(RuntimeError, match="the machine failed"):
        list(train(CONFIG, placement, checkpoints=tmp_path, should_stop=failing(steps)))
    assert numbers(train(CONFIG, placement, checkpoints=tmp_path)) == expected


KILLED_PROCESS = """
import os, signal, sys
from pathlib import Path
from nowt import train
from tests.support.short_runs import CPU, after, short_run
from dataclasses import replace
reached = after(5)
def should_stop():
    if reached():
        os.kill(os.getpid(), signal.SIGKILL)
    return False
placement = replace(CPU, checkpoint_seconds=0.0)
list(train(short_run("kp"), placement, checkpoints=Path(sys.argv[1]), should_stop=should_stop))
"""


def test_a_run_whose_process_was_killed_resumes_in_another_process(
    expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED_PROCESS, str(tmp_path)]
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}
    assert subprocess.run(command, env=environment, timeout=120, check=False).returncode == -signal.SIGKILL
    assert names(tmp_path) == ["step-000000003.pt", "step-000000004.pt"]
    assert numbers(train(CONFIG, CPU, checkpoints=tmp_path)) == expected


def test_a_checkpoint_contains_only_tensors_numbers_and_text(tmp_path: Path) -> None:
    def kinds(value: Any) -> set[type]:
        if isinstance(value, dict):
            return set().union(*(kinds(v) for pair in value.items() for v in pair))
        if isinstance(value, list | tuple):
            return set().union(*(kinds(v) for v in value))
        return {type(value)}

    newest = interrupted_run(tmp_path, STEPS + 1)[-1]
    found = kinds(torch.load(newest, weights_only=True))
    assert found <= {torch.Tensor, int, float, str, bool, type(None)}


def test_a_checkpoint_contains_b(tmp_path: Path) -> None:
    interrupted_run(tmp_path, 1)
    found = tensors(tmp_path)
    assert {"conv1.weight", "conv1.feedback", "bn1.running_mean", "fc.feedback", "0.momentum_buffer"} <= found.keys()
    assert not torch.equal(found["fc.weight"], found["fc.feedback"])


def test_load_returns_what_was_saved(tmp_path: Path) -> None:
    state = {"w": torch.arange(6.0).reshape(2, 3), "step": 7, "losses": [0.1, None], "name": "kp"}
    path = checkpoint.save(tmp_path, 7, state)
    assert path == tmp_path / "step-000000007.pt"
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert_equal({"w": loaded.pop("w")}, {"w": state.pop("w")})  # type: ignore[dict-item]
    assert loaded == state


def test_without_a_folder_there_is_no_checkpoint_to_load(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "missing") is None


def damaged(content: bytes) -> list[bytes]:
    """Return the bytes of a checkpoint with the kinds of damage that disks and crashes cause."""
    size = len(content)
    cut = [content[:end] for end in (0, 1, 2, 10, 100, size // 2, size - 1)]
    zeros = [bytes(size), content[: size // 2].ljust(size, b"\0")]
    holes = [content[:start] + bytes(4096) + content[start + 4096 :] for start in (0, 4096, size // 2)]
    return [*cut, *zeros, *holes, b"not a checkpoint\n", b"<html>404</html>", bytes(range(256)) * 8]


def test_a_damaged_checkpoint_is_skipped_with_a_warning_and_the_previous_one_is_loaded(tmp_path: Path) -> None:
    _, newest = interrupted_run(tmp_path, STEPS + 1)
    aside = newest.with_name(f"{newest.name}.unreadable")
    for content in damaged(newest.read_bytes()):
        newest.write_bytes(content)
        with pytest.warns(UserWarning) as caught:
            state = checkpoint.load(tmp_path)
        assert state is not None and state["step"] == STEPS
        (warning,) = [str(w.message) for w in caught]
        assert warning.startswith(f"checkpoint {newest} cannot be read (")
        assert warning.endswith(f") and is now {aside.name}; using the one before it") and "\n" not in warning
        assert not newest.exists() and aside.read_bytes() == content


def test_a_run_resumes_from_the_checkpoint_before_a_damaged_one(expected: list[dict[str, Any]], tmp_path: Path) -> None:
    newest = interrupted_run(tmp_path, STEPS + 1)[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.warns(UserWarning, match=f"{newest.name} cannot be read"):
        continued = numbers(train(CONFIG, CPU, checkpoints=tmp_path))
    assert continued == expected


def test_a_run_whose_checkpoints_are_all_damaged_restarts_with_warnings(
    expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    for path in interrupted_run(tmp_path, STEPS + 1):
        path.write_bytes(b"")
    with pytest.warns(UserWarning) as caught:
        continued = numbers(train(CONFIG, CPU, checkpoints=tmp_path))
    assert len(caught) == 2
    assert continued == expected


def test_a_damaged_checkpoint_does_not_displace_those_before_it(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, {"step": step})
    (tmp_path / "step-000000003.pt").write_bytes(b"cut")
    checkpoint.prune(tmp_path, max_to_keep=1)
    assert names(tmp_path) == ["step-000000002.pt", "step-000000003.pt"]
    (tmp_path / "step-000000009.pt").write_bytes(b"cut")  # of a run that has lost its way
    for step in (4, 5):
        checkpoint.save(tmp_path, step, {"step": step})
    assert names(tmp_path) == ["step-000000004.pt", "step-000000005.pt", "step-000000009.pt"]
    with pytest.warns(UserWarning, match=r"step-000000009\.pt cannot be read"):
        assert checkpoint.load(tmp_path) == {"step": 5}


@pytest.mark.parametrize(
    ("error", "becomes", "message"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), ConfigError, "cannot be opened .*: make it readable"),
        (OSError(errno.ESTALE, "Stale file handle"), ConfigError, "Stale file handle"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), MemoryError, "not fit into memory"),
    ],
)
def test_a_checkpoint_that_may_be_intact_stays_and_ends_the_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, becomes: type[Exception], message: str
) -> None:
    def fails(*given: object, **options: object) -> None:
        raise error

    checkpoint.save(tmp_path, 1, {"step": 1})
    path = checkpoint.save(tmp_path, 2, {"step": 2})
    monkeypatch.setattr(torch, "load", fails)
    with pytest.raises(becomes, match=f"{path} .*{message}"):
        checkpoint.load(tmp_path)
    assert names(tmp_path) == ["step-000000001.pt", "step-000000002.pt"]


def test_a_checkpoint_is_read_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full GPU cannot make a checkpoint unreadable."""
    places: list[object] = []
    load = torch.load

    def recorded(*given: Any, **options: Any) -> Any:
        places.append(options["map_location"])
        return load(*given, **options)

    checkpoint.save(tmp_path, 1, {"step": 1})
    monkeypatch.setattr(torch, "load", recorded)
    assert checkpoint.load(tmp_path) == {"step": 1} and places == ["cpu"]


def test_a_failed_save_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, {"step": 1})
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save(tmp_path, 2, {"step": lambda: 2})
    assert checkpoint.load(tmp_path) == {"step": 1}
    checkpoint.save(tmp_path, 3, {"step": 3})
    assert names(tmp_path) == ["step-000000001.pt", "step-000000003.pt"]


def test_a_partly_written_file_is_ignored_and_removed_by_the_next_save(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, {"step": 1})
    (tmp_path / f"step-000000002.pt.{host_name()}-{ended_process()}-1.tmp").write_bytes(b"half a check")
    with warnings.catch_warnings(action="error"):
        assert checkpoint.load(tmp_path) == {"step": 1}
    checkpoint.save(tmp_path, 2, {"step": 2})
    assert names(tmp_path) == ["step-000000001.pt", "step-000000002.pt"]


WRITING = """
import sys
from pathlib import Path
from nowt.training import checkpoint
def pause(state, file):
    file.write(b"half a check")
    file.flush()
    print("half", flush=True)
    sys.stdin.readline()
    file.write(b"point")
checkpoint.torch.save = pause
checkpoint.save(Path(sys.argv[1]), 5, {"step": 5})
"""


def test_a_checkpoint_that_another_process_is_writing_survives_a_save(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        checkpoint.save(tmp_path, 1, {"step": 1})
        writer.communicate("go on\n")
    assert writer.returncode == 0
    assert (tmp_path / "step-000000005.pt").read_bytes() == b"half a checkpoint"
    assert names(tmp_path) == ["step-000000001.pt", "step-000000005.pt"]


def test_the_newest_checkpoint_is_the_one_with_the_most_steps(tmp_path: Path) -> None:
    for step in (99, 100, 9):
        checkpoint.save(tmp_path, step, {"step": step}, max_to_keep=3)
    assert checkpoint.load(tmp_path) == {"step": 100}
    checkpoint.prune(tmp_path, max_to_keep=1)
    assert names(tmp_path) == ["step-000000100.pt"]


def test_a_resumed_run_yields_the_epochs_of_its_checkpoint(tmp_path: Path) -> None:
    interrupted_run(tmp_path, STEPS + 1)
    state = checkpoint.load(tmp_path)
    assert state is not None and [epoch["epoch"] for epoch in state["epochs"]] == [0, 1]
    first = next(train(CONFIG, CPU, checkpoints=tmp_path))
    assert isinstance(first, Epoch) and first.train_loss != first.train_loss  # NaN is restored
