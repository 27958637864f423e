"""Lines of an epoch log that are JSON, but not what nowt writes: refused with file, line and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from nowt.cli.main import main
from nowt.store.log_lines import check_line
from nowt.store.records import Layer
from nowt.store.run_log import read
from tests.support.run_logs import epoch, start

KEY = "0123456789ab"


@pytest.fixture
def lines(tmp_path: Path) -> list[dict[str, Any]]:
    """The lines of a finished run."""
    writer = start(tmp_path, KEY)
    writer.epoch(epoch(0, Layer("conv1", 0, 90.0, 90.0, 1.0)))
    writer.resume(0)
    writer.epoch(epoch(1), workers=2)
    writer.end("diverged", "", {"presentations": 1.0, "flops": 1.0, "seconds": 1.0})
    return [json.loads(line) for line in writer.path.read_text().splitlines()]


def write(folder: Path, lines: list[dict[str, Any]]) -> Path:
    path = folder / "logs" / f"{KEY}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def changed(line: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The line with another value at a dotted path."""
    name, _, rest = path.partition(".")
    return {**line, name: changed(line[name], rest, value) if rest else value}


CONV = {"name": "conv1", "depth": 0, "matrix_angle": 90.0, "delta_angle": None, "norm_ratio": 1}

WRONG: list[tuple[int, str, Any, str]] = [
    (0, "config", None, "config is null: it must be an object"),
    (0, "config", {}, "config has no data, epochs, model, rule, seed"),
    (0, "config.rule", {}, "config.rule has no name"),
    (0, "config.seed", "0", 'config.seed is "0": it must be a whole number'),
    (0, "key", "ffffffffffff", 'it is the log of run "ffffffffffff"'),
    (0, "schema", "1", 'schema is "1": it must be a whole number'),
    (0, "schema", None, "schema is null: it must be a whole number"),
    (0, "time", "x", 'time is "x": it must be a time'),
    (0, "classes", "10", 'classes is "10": it must be a whole number from 1'),
    (0, "certificate", "../../etc/passwd", 'certificate is "../../etc/passwd": it must be the name of a certificate'),
    (0, "git", {"commit": None, "dirty": False}, "git.commit is null: it must be text"),
    (0, "versions", {"torch": 2}, 'versions is {"torch": 2}: it must be an object, each value text'),
    (0, "skipped", "a.jpg", 'skipped is "a.jpg": it must be a list, each text'),
    (0, "kind", ["start"], 'kind is ["start"]: it must be text'),
    (1, "epoch", "1", 'epoch is "1": it must be a whole number from 0'),
    (1, "epoch", None, "epoch is null: it must be a whole number from 0"),
    (1, "val_error", "0.5", 'val_error is "0.5": it must be a number or null'),
    (1, "val_error", True, "val_error is true: it must be a number or null"),
    (1, "presentations", 1.5, "presentations is 1.5: it must be a whole number from 0"),
    (1, "layers", [5], "layers[0] is 5: it must be an object"),
    (1, "layers", 3, "layers is 3: it must be a list"),
    (1, "layers", [{**CONV, "norm_ratio": "1"}], 'layers[0].norm_ratio is "1": it must be a number or null'),
    (1, "layers", [{**CONV, "depth": True}], "layers[0].depth is true: it must be a whole number"),
    (1, "layers", [{**CONV, "through_feedback": 1}], "layers[0].through_feedback is 1: it must be true or false"),
    (1, "layers", [{"name": "conv1"}], "layers[0] has no delta_angle, depth, matrix_angle, norm_ratio"),
    (2, "attempt", "2", 'attempt is "2": it must be a whole number from 0'),
    (2, "machines", {"gpu": "4"}, 'machines is {"gpu": "4"}: it must be an object, each value a whole'),
    (3, "test_correct", 5, "test_correct is 5: it must be text"),
    (3, "test_images", -1, "test_images is -1: it must be a whole number from 0"),
    (3, "workers", 0.5, "workers is 0.5: it must be a whole number from 0"),
    (4, "state", 5, "state is 5: it must be one of finished, diverged, failed, stopped"),
    (4, "reason", None, "reason is null: it must be text"),
    (4, "spent", {"seconds": 1.0}, "spent has no flops, presentations"),
]


@pytest.mark.parametrize(("number", "field", "value", "fault"), WRONG, ids=[fault for *_, fault in WRONG])
def test_a_wrong_type_is_named_with_its_line_and_field(
    number: int,
    field: str,
    value: Any,
    fault: str,
    lines: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines[number] = changed(lines[number], field, value)
    path = write(tmp_path, lines)
    message = f"{path}, line {number + 1} is not a line of an epoch log ({fault}"
    for words in (["runs"], ["show", KEY[:4]]):
        assert main([*words, "--store", str(tmp_path)]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"nowt: {message}") and err.endswith("): move the file away\n") and err.count("\n") == 1


@pytest.mark.parametrize("line", ["5", "null", "[]", '"text"', "{}", pytest.param("[" * 100_000, id="deep")])
def test_json_that_is_no_object_is_named_with_its_line(line: str, lines: list[dict[str, Any]], tmp_path: Path) -> None:
    path = write(tmp_path, lines)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=rf"{KEY}\.jsonl, line 6 is not a line of an epoch log \(.*\): move the file"):
        read(path)


def test_every_line_that_nowt_writes_is_valid(lines: list[dict[str, Any]]) -> None:
    assert [check_line(line, KEY)["kind"] for line in lines] == ["start", "epoch", "resume", "epoch", "end"]


def test_a_line_of_an_unknown_kind_may_have_any_fields() -> None:
    line = {"kind": "remark", "time": 1, "epoch": "the first"}
    assert check_line(line, KEY) == line


def test_invalid_utf8_in_a_log_is_named_and_not_replaced(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    path = write(tmp_path, lines)
    path.write_bytes(path.read_bytes().replace(b"conv1", b"conv\xff"))
    with pytest.raises(
        ValueError, match=r"line 2 is not a line of an epoch log \('utf-8' codec can't decode byte 0xff"
    ):
        read(path)


def test_a_separator_within_a_text_does_not_end_a_line(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    lines[0]["skipped"] = ["a\u2028.jpg"]
    path = write(tmp_path, [])
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    assert read(path).start["skipped"] == ["a\u2028.jpg"]


def test_show_names_what_a_log_does_not_record(
    lines: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del lines[0]["git"], lines[0]["fingerprint"]
    write(tmp_path, lines)
    assert main(["show", KEY, "--store", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "data not recorded\n" in out and "commit not recorded\n" in out
