"""Nothing that is printed ends a run: characters that a terminal lacks, and output that cannot be written."""

import gc
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.core.output import print_any_character, tolerant_output
from nowt.store.run_log import read_all

SMALL = ["--data.train_limit", "64", "--data.repeat", "1", "--data.size", "8", "--epochs", "2"]


@contextmanager
def stream(encoding: str, name: str = "stdout") -> Iterator[io.BytesIO]:
    """Have ``sys.stdout`` write to the yielded bytes, in an encoding that lacks characters."""
    written = io.BytesIO()
    text = io.TextIOWrapper(written, encoding, write_through=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, name, text)
        yield written
    text.detach()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("command", ["plan rules_on_digits", "train digits --rule kp", "doctor"])
def test_a_terminal_without_unicode_shows_what_it_can(
    encoding: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = command.split() + (SMALL if "train" in command else [])
    with stream(encoding) as out, stream(encoding, "stderr") as err:
        code = main([*words, "--store", "größe-δ"])
    assert code in (0, 1), err.getvalue()
    assert out.getvalue()


def test_signs_that_an_encoding_lacks_are_spelled_out_and_files_stay_complete() -> None:
    with stream("ascii") as out:
        print_any_character()
        print("δ angle 10 ± 2°, −3 … ≤ 5 × 7 ─ 实 \udcff")
    assert out.getvalue() == b"delta angle 10 +- 2deg, -3 ... <= 5 x 7 - ? ?\n"


@contextmanager
def closed_pipe() -> Iterator[None]:
    """Have ``sys.stdout`` be a pipe whose reader has gone, as after ``| head -1``."""
    reader, writer = os.pipe()
    os.close(reader)
    text = os.fdopen(writer, "w", buffering=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", text)
        yield
    text.close()  # raises if something is left that cannot be written


@pytest.mark.parametrize("command", ["train digits", "ablate ./one.py --in-process"])
def test_a_study_whose_output_nobody_reads_goes_on_to_its_end(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    body = "(Cell('fa', recipes.digits(FeedbackAlignment())),)"
    head = "from nowt import Cell, FeedbackAlignment, Study, recipes"
    (tmp_path / "one.py").write_text(f"{head}\ndef study():\n    return Study('one', 'Which?', {body}, seeds=(0,))\n")
    with closed_pipe():
        assert main([*command.split(), *SMALL]) == 0
    assert [run.state for run in read_all(tmp_path / "runs")] == ["finished"]
    assert "the output cannot be written (Broken pipe)" in capsys.readouterr().err


def test_a_command_that_only_prints_ends_when_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "logs").mkdir(parents=True)
    with closed_pipe():
        assert main(["runs"]) == 141


class Full(io.StringIO):
    """A stream to a disk that is full."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_output_to_a_full_disk_is_dropped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    with tolerant_output():
        print("a")
        print("b")
        assert not sys.stdout.isatty()
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_output_that_may_fail_has_all_that_the_stream_has(monkeypatch: pytest.MonkeyPatch) -> None:
    with stream("utf-8") as out, tolerant_output():
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        assert (sys.stdout.errors, sys.stdout.line_buffering) == ("strict", True)
        sys.stdout.buffer.write(b"bytes\n")
    assert out.getvalue() == b"bytes\n"


OPENED_LATER = """
import os, sys
from nowt.cli.main import main
code = main(["runs", "--store", "missing"])
with open("log", "w") as log:
    for descriptor in (1, 2):
        os.write(descriptor, b"of a C library")
    print("of Python", file=sys.stderr)
    child = os.system('echo "of another program" && echo "its error" >&2')
sys.exit(0 if (code, child) == (2, 0) else 1)
"""


@pytest.mark.parametrize("closed", [">&- 2>&-", "<&- >&- 2>&-", "<&- >&-", "2>&-"])
def test_no_file_takes_the_place_of_an_output_that_is_closed(closed: str, tmp_path: Path) -> None:
    command = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, OPENED_LATER]
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    assert (tmp_path / "log").read_text() == ""


def test_a_character_that_the_encoding_lacks_loses_no_other_output() -> None:
    with stream("ascii") as out:
        with tolerant_output():
            print("δ of a study")
            print("its end")
        print("of the script")
    assert out.getvalue() == b"delta of a study\nits end\nof the script\n"


def test_without_any_output_there_is_nothing_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after ``nowt train digits >&- 2>&-``."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with tolerant_output():
        print("a")
        sys.stdout.write("b")
        sys.stderr.flush()


def test_collecting_output_that_is_over_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with stream("utf-8"):
        with tolerant_output():
            kept: list[object] = [sys.stdout]
        kept.append(kept)
    del kept
    gc.collect()
    assert capsys.readouterr().err == ""


def test_flushing_output_that_is_over_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As logging does for each of its handlers when Python ends."""
    over = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", over)
    with tolerant_output():
        kept = sys.stdout
    over.close()
    kept.flush()
    assert capsys.readouterr().err == ""
