"""Custom files are found, loaded once, and refused in one line if they are invalid."""

import logging
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nowt.core.errors import ConfigError
from nowt.core.plugins import call_factory, load_module, load_object


def refusal(spec: str, attribute: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_object(spec, attribute)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_an_object_is_found_by_file_and_by_module(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("answer = 42\n")
    assert load_object(f"{path}:answer") == 42
    assert load_object(str(path), "answer") == 42
    assert load_object("math:pi") == pytest.approx(3.14159, abs=1e-5)


def test_a_path_relative_to_the_working_folder_is_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("class Thing:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    assert load_module(Path("mine.py")) is load_module(tmp_path / "mine.py")


def test_files_of_the_same_name_are_separate_modules(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "json.py").write_text(f"place = {folder!r}\n")
    assert load_object(f"{tmp_path}/a/json.py:place") == "a"
    assert load_object(f"{tmp_path}/b/json.py:place") == "b"
    import json

    assert json.loads("1") == 1


def test_objects_of_a_files_classes_can_be_pickled(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from typing import ClassVar\n"
        "@dataclass(frozen=True)\n"
        "class Thing:\n"
        "    kind: ClassVar[str] = 'thing'\n"
        "    size: int = 3\n"
    )
    thing = load_object(f"{path}:Thing")(size=5)
    assert pickle.loads(pickle.dumps(thing)) == thing


def test_an_edited_file_is_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("answer = 1\n")
    assert load_object(f"{path}:answer") == 1
    path.write_text("answer = 2\n")
    assert load_object(f"{path}:answer") == 2


def test_missing_files_modules_and_names_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("answer = 42\n")
    assert f"there is no file {tmp_path}/yours.py" in refusal(f"{tmp_path}/yours.py:answer")
    assert "mine.py defines no 'anwser' (did you mean answer?)" in refusal(f"{path}:anwser")
    message = refusal(str(path), "study")
    assert f"{path} defines no 'study'; define 'study' in it, or name another object: {path}:NAME" in message
    assert f"cannot load {str(path)!r}: expected FILE.py:NAME or module:NAME" in refusal(str(path))
    assert "cannot load 'answer'" in refusal("answer")
    assert "module no_such_lab cannot be imported: ModuleNotFoundError" in refusal("no_such_lab:rule")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("def half(:\n", "SyntaxError: invalid syntax"),
        ("size = 1 / 0\n", "ZeroDivisionError: division by zero"),
        ("print(undefined)\n", "NameError: name 'undefined' is not defined"),
        ("raise EOFError('EOF when reading a line')\n", "EOFError: EOF when reading a line"),
        ("class Broken(Exception): pass\nraise Broken('no data')\n", "Broken: no data"),
        ("class Stop(BaseException): pass\nraise Stop('no data')\n", "Stop: no data"),
    ],
)
def test_a_file_that_cannot_be_imported_is_reported_with_its_exception(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    for _ in range(2):  # the second time, nothing of the first is left over
        line = refusal(f"{path}:anything")
        assert f"{path} cannot be imported: {problem}" in line


PARSING = "import argparse\nargparse.ArgumentParser(prog='mine').parse_args(['--seed', '3'])\n"

EXITS = {
    PARSING: "mine: error: unrecognized arguments: --seed 3",
    "import sys\nsys.exit('no GPU here')\n": "no GPU here",
    "import sys\nsys.exit(3)\n": "exit code 3",
    "exit()\n": "exit code 0",
    "raise SystemExit\n": "exit code 0",
}

ADVICE = "Put what only a script does under `if __name__ == '__main__':`"


@pytest.mark.parametrize("code", EXITS)
def test_a_file_that_exits_when_it_is_imported_is_named_in_one_line(
    code: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"{code}answer = 42\n")
    assert refusal(f"{path}:answer") == f"{path} ends the process when it is imported ({EXITS[code]}). {ADVICE}"
    assert capfd.readouterr().err == ""


def test_a_file_that_imports_one_that_exits_is_named(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text("raise SystemExit(4)\n")
    (tmp_path / "mine.py").write_text("import inner\nanswer = 42\n")
    assert refusal(f"{tmp_path}/mine.py:answer").startswith(f"{tmp_path}/mine.py ends the process when it is imported")


def test_a_module_that_exits_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_module_that_exits.py").write_text("raise SystemExit(4)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert refusal("my_module_that_exits:x").startswith("my_module_that_exits ends the process when it is imported")


def test_what_a_file_prints_is_shown_if_it_does_not_exit(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text("import sys\nprint('old API', file=sys.stderr)\nanswer = 42\n")
    assert load_object(f"{tmp_path}/mine.py:answer") == 42
    assert capfd.readouterr().err == "old API\n"


LATER = """
import logging, subprocess, sys
handler = logging.StreamHandler()
sys.stderr.buffer.write(b"bytes\\n")
sys.stderr.buffer.flush()
assert sys.stderr.fileno() > 0
subprocess.run(["echo", "process"], stdout=sys.stderr, check=True)
sys.stderr.reconfigure(line_buffering=True)
print("held", file=sys.stderr)
"""


def test_a_file_may_keep_stderr_and_use_all_that_it_has(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(LATER)
    handler = load_object(f"{tmp_path}/mine.py:handler")
    handler.emit(logging.makeLogRecord({"msg": "later"}))
    assert capfd.readouterr().err == "bytes\nprocess\nheld\nlater\n"


def test_a_stderr_that_does_not_count_what_it_writes_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a worker of Ray."""
    written: list[str] = []
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=written.append, flush=lambda: None))
    (tmp_path / "mine.py").write_text("import sys\nprint('held', file=sys.stderr)\nanswer = 42\n")
    assert load_object(f"{tmp_path}/mine.py:answer") == 42
    assert "".join(written) == "held\n"


def test_without_stderr_a_file_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    (tmp_path / "mine.py").write_text("import sys\nprint(1, file=sys.stderr)\nanswer = 42\n")
    assert load_object(f"{tmp_path}/mine.py:answer") == 42


@pytest.mark.parametrize("base", [Exception, BaseException])
def test_a_function_of_a_file_that_raises_an_error_of_its_own_is_named(base: type[BaseException]) -> None:
    class Stop(base):  # type: ignore[misc,valid-type]
        pass

    def study() -> None:
        raise Stop("no data")

    with pytest.raises(ConfigError, match=r"^mine\.py:study failed: Stop: no data$"):
        call_factory("mine.py:study", study, int)


def test_ctrl_c_in_a_file_is_no_error_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_object(f"{tmp_path}/mine.py:answer")


def test_a_function_of_a_file_that_exits_is_named(tmp_path: Path) -> None:
    def study() -> None:
        sys.exit(2)

    with pytest.raises(ConfigError, match=r"^mine\.py:study ends the process \(exit code 2\)$"):
        call_factory("mine.py:study", study, int)
