"""A checkpoint for which the disk has no room: its file is named, none is left behind, and the study can be resumed."""

import errno
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from nowt.cli.main import main
from nowt.store.run_log import read_all
from nowt.training import checkpoint
from tests.support.small_studies import write_study


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Refuse writes beyond ``size`` bytes of a file, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_for_which_the_disk_has_no_room_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    with largest_file(100_000), pytest.raises(checkpoint.CheckpointNotSaved) as error:
        checkpoint.save(tmp_path, 1, {"weights": torch.zeros(100_000)})
    assert str(error.value) == f"File too large: {tmp_path}/step-000000001.pt"
    assert names(tmp_path) == []


def test_a_copy_for_which_the_disk_has_no_room_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(source: Path, target: Path) -> None:
        target.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(source))

    def link(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    monkeypatch.setattr("shutil.copyfile", copy)
    with pytest.raises(checkpoint.CheckpointNotSaved, match=r"No space left on device: .*/epoch-000001\.pt"):
        checkpoint.save(tmp_path, 1, {"position": 0, "epoch": 1}, keep_epochs="all")
    assert names(tmp_path) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy
def test_a_disk_that_is_full_when_a_checkpoint_is_saved_stops_the_study_which_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def save(state: object, file: object) -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904  # as torch does

    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, '{"fa": small("fa"), "kp": small("kp")}')
    command = ["ablate", "./small.py", "--in-process", "--store", "store"]
    with monkeypatch.context() as patch:
        patch.setattr("torch.save", save)
        assert main(command) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"nowt: No space left on device: store/checkpoints/[0-9a-f]{12}/step-\d{9}\.pt", last)
    assert [run.state for run in read_all(tmp_path / "store")] == ["running"]
    assert main(command) == 0
    assert [run.state for run in read_all(tmp_path / "store")] == ["finished"] * 2
