"""Text from files cannot control the terminal of the user who reads it."""

import json
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.core.formatting import is_one_line, printable
from nowt.store.layout import Store
from tests.support.hostile_files import UNFINISHED, write_files

TITLE = "\x1b]0;title\x07"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe δ 1\n\t2", "größe δ 1\n\t2"),
        (TITLE, "\\x1b]0;title\\x07"),
        ("a\rb\x08", "a\\rb\\x08"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202egnp", "\\u202egnp"),
        ("\udc80", "\\udc80"),
    ],
)
def test_control_characters_are_printed_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert is_one_line(text) == (printable(text, keep="") == text)


INVISIBLE = "00ad 034f 115f 180e 200b 200d 2060 2062 206a 206f 3164 feff fff9 e0001 e0041"


@pytest.mark.parametrize("code", INVISIBLE.split())
def test_an_invisible_character_is_printed_as_an_escape_and_is_in_no_name(code: str) -> None:
    text = f"b{chr(int(code, 16))}p"
    assert printable(text) == f"b{text[1].encode('unicode_escape').decode()}p" and text[1] not in printable(text)
    assert not is_one_line(text)


def test_the_reason_and_the_layers_of_a_run_are_shown_without_control_characters(
    tmp_path: Path, valid: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_files(tmp_path / "store", valid)
    layer = {"name": f"{TITLE}[red]", "depth": 0, "matrix_angle": 1.0, "delta_angle": 1.0, "norm_ratio": 1.0}
    lines = Store(store).log(UNFINISHED).read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), "layers": [layer]})
    end = {"kind": "end", "time": 2, "state": "failed", "reason": f"{TITLE}\nnowt: [/x] all is well"}
    lines.append(json.dumps(end))
    Store(store).log(UNFINISHED).write_text("\n".join(lines) + "\n")
    for words in (["runs"], ["show", UNFINISHED]):
        assert main([*words, "--store", str(store)]) == 0
        printed = capsys.readouterr().out
        assert not {"\x1b", "\x07"} & {*printed}
    assert "\\x1b]0;title[red]" in printed and "[/x] all is well" in printed


def test_a_file_name_in_an_error_has_no_control_characters(
    tmp_path: Path, valid: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_files(tmp_path / "store", valid)
    Store(store).log_files()[0].rename(store / "logs" / f"x{TITLE}\nnowt: fine.jsonl")
    assert main(["runs", "--store", str(store)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "x\\x1b]0;title\\x07\\nnowt: fine.jsonl is not named by a run key" in error
