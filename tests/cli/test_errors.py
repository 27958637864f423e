"""What becomes of an error: one line for what a user can mend, a traceback in a file for a bug."""

import errno
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest

from nowt.cli.commands import show
from nowt.cli.main import main, one_line
from nowt.core.errors import AccessError, ConfigError, DataError, UserError
from nowt.store.files import write_atomically
from nowt.store.jsonl import append_line
from nowt.store.locks import process_lock
from nowt.store.run_log import read_all
from tests.support.file_size_limit import no_file_grows


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Have ``nowt show`` raise an error."""

    def run(args: Any) -> int:
        raise error

    monkeypatch.setattr(show, "run", run)


SHOW = ["show", "0123456789ab"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("not enough values to unpack"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/somewhere"),
        KeyError("epochs"),
        RuntimeError("two\nlines"),
        OSError("no number"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_bug_ends_with_code_70_and_its_traceback_in_a_file(
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(monkeypatch, error)
    assert main(SHOW) == 70
    (file,) = tmp_path.iterdir()
    (line,) = capsys.readouterr().err.splitlines()
    first = f"{type(error).__name__}: {error}".splitlines()[0]
    assert line == f"nowt: a bug in nowt or in code that it runs ({first}); the traceback is in {file}"
    text = file.read_text()
    assert "nowt show 0123456789ab" in text and "Traceback" in text and "in run\n    raise error" in text


def test_without_room_for_a_file_the_traceback_of_a_bug_is_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    failing(monkeypatch, KeyError("epochs"))
    assert main(SHOW) == 70
    *text, line = capsys.readouterr().err.splitlines()
    assert line == "nowt: a bug in nowt or in code that it runs (KeyError: 'epochs'); the traceback is above"
    assert "nowt show 0123456789ab" in text and "KeyError: 'epochs'" in text


UNUSUAL = """
from dataclasses import dataclass
from nowt import FeedbackAlignment

class Stop(BaseException):
    pass

@dataclass(frozen=True)
class Mine(FeedbackAlignment):
    name = "mine"

    def __post_init__(self) -> None:
        if {at_start}:
            raise Stop("no data")

    def after_step(self, layer, step):
        raise Stop("no data")
"""

SMALL = "--data.train_limit 64 --data.repeat 1 --data.size 8 --epochs 1"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy
def test_an_unusual_error_of_a_rule_fails_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(UNUSUAL.replace("{at_start}", "False"))
    assert main(["train", "digits", "--rule", "./mine.py", *SMALL.split()]) == 1
    assert "Stop: no data" in capsys.readouterr().out
    (run,) = read_all(tmp_path / "runs")
    assert run.state == "failed" and "Stop: no data" in run.reason


def test_an_error_of_a_custom_file_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "mine.py").write_text(UNUSUAL.replace("{at_start}", "True"))
    assert main(["train", "digits", "--rule", "./mine.py", *SMALL.split()]) == 70
    line = "a bug in nowt or in code that it runs (Stop: no data, at {}/mine.py:14); the traceback is in "
    assert line.format(tmp_path) in capsys.readouterr().err


def test_with_debug_a_bug_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ValueError("a mistake"))
    with pytest.raises(ValueError, match="a mistake"):
        main([*SHOW, "--debug"])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("what to do"), "what to do"),
        (ConfigError("a field"), "a field"),
        (DataError("an image"), "an image"),
        (AccessError("a server"), "a server"),
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"), "Permission denied: /root/x"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), "Not a directory: a/b"),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, error)
    assert main(SHOW) == 2
    assert capsys.readouterr().err == f"nowt: {line}\n"


def test_a_full_disk_is_named_by_the_file_that_was_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/a\.jsonl'"):
        append_line(tmp_path / "a.jsonl", "text")


def test_a_file_that_cannot_be_replaced_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_atomically(tmp_path / "folder", "text", durable=True)


def test_without_a_current_folder_a_command_refuses_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["ablate", "../study.py"]) == 2
    assert main(["train", "digits"]) == 2
    line = "nowt: the current folder has been deleted: change to another one (cd)\n"
    assert capsys.readouterr().err == 2 * line


@pytest.mark.parametrize("name", ["ENXIO", "ENOTCONN", "EBUSY", "EUCLEAN", "EREMOTEIO", "ETIMEDOUT", "EKEYEXPIRED"])
def test_a_file_system_that_fails_is_no_bug(name: str) -> None:
    number = getattr(errno, name)
    assert one_line(OSError(number, os.strerror(number), "/mnt/x")) == f"{os.strerror(number)}: /mnt/x"


RULE = """
from dataclasses import dataclass
from typing import ClassVar

from nowt import FeedbackAlignment

@dataclass(frozen=True)
class Mine(FeedbackAlignment):
    name: ClassVar[str] = "mine"
    gain: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if self.gain <= 0:
            raise ValueError(f"rule.gain is {self.gain}: it must be above 0")
"""


def test_a_rules_own_check_of_its_fields_is_a_config_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(RULE)
    code = main(["train", "digits", "--rule", f"{tmp_path}/mine.py:Mine", "--rule.gain", "-1", "--epochs", "1"])
    assert code == 2
    assert re.fullmatch(r"nowt: .*rule\.gain is -1\.0: it must be above 0\n", capsys.readouterr().err)


@pytest.mark.parametrize("words", [["train", "digits"], ["merge", "{other}"], ["certify", "bp"]])
def test_where_no_file_can_be_written_a_command_refuses_in_one_line(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other" / "logs").mkdir(parents=True)
    given = [word.format(other=tmp_path / "other") for word in words]
    with no_file_grows():
        assert main([*given, "--store", str(tmp_path / "new")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nowt: --store is") and f"{tmp_path} is not writable: File too large" in line


def test_a_machine_without_a_temporary_folder_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    with no_file_grows(), pytest.raises(FileNotFoundError) as caught:
        tempfile.gettempdir()
    assert re.fullmatch(r"No usable temporary directory .*: .* TMPDIR .*", one_line(caught.value))


def test_a_lock_that_cannot_be_signed_is_named(tmp_path: Path) -> None:
    with no_file_grows(), pytest.raises(OSError) as caught, process_lock(tmp_path / "a.lock", "it is taken"):
        pass
    assert one_line(caught.value) == f"File too large: {tmp_path / 'a.lock'}"
