"""Files of JSON lines, whose last line a crash may leave incomplete."""

import json
import math
import os
import re
from pathlib import Path
from typing import Any, NoReturn

from nowt.core.errors import UserError, naming
from nowt.store.files import check_present, open_unlinked, read_plain_file, sync_folder
from nowt.store.json_types import is_deep

DEEPEST = 40  # lists and objects within each other; nowt writes fewer than ten

LONGEST_LINE = 64 * 2**20  # bytes of one JSON value

HALVES = re.compile(r"[\ud800-\udfff]")  # of characters; Python has one for each byte of a file name that is not UTF-8


def _refuse_constant(name: str) -> NoReturn:
    raise UserError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """Return the number. Raises ValueError for one that would become an infinity, which is no JSON when written."""
    if math.isinf(value := float(text)):
        raise UserError(f"{text if len(text) < 40 else f'{text[:37]}...'} is too large a number")
    return value


DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def complete_lines(path: Path) -> list[bytes]:
    """Return the lines of the file, without an incomplete last line. Only a line feed ends a line: text may contain
    other separators, such as U+2028."""
    return complete_part(path).split(b"\n")[:-1]


def parse_line(line: bytes) -> Any:
    """Return the JSON value of a line.

    Raises ValueError if it is not JSON, or not UTF-8, and for what nowt never writes: NaN, endless lines and
    deep nesting.
    """
    if len(line) > LONGEST_LINE:
        raise UserError(f"it is longer than {LONGEST_LINE // 2**20} MiB")
    try:
        value = DECODER.decode(line.decode())
    except RecursionError:
        raise UserError("it is nested too deeply") from None
    if is_deep(value, DEEPEST):
        raise UserError("it is nested too deeply")
    if b"\\ud" in line or b"\\uD" in line:
        _check_characters(value)
    return value


def _check_characters(value: Any) -> None:
    """Raise ValueError for text that has half of a character, which neither a terminal nor a file can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UserError("its text has half of a character") from None


def json_text(value: Any, indent: int | None = None, ensure_ascii: bool = True) -> str:
    r"""Return the JSON text of ``value``, which ``parse_line`` accepts.

    Halves of characters, as in file names that are not UTF-8, become six characters such as ``\udce9``. Raises
    ValueError for NaN and infinity.
    """
    text = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=ensure_ascii)
    if ensure_ascii and "\\ud" not in text:
        return text
    whole = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False)
    return HALVES.sub(lambda found: rf"\\u{ord(found[0]):04x}", whole)


def as_written(value: Any) -> Any:
    """Return the value that is read from the JSON text of ``value``."""
    return json.loads(json_text(value))


def complete_part(path: Path) -> bytes:
    """Return the bytes of the file, without an incomplete last line."""
    data = read_plain_file(path)
    return data[: data.rfind(b"\n") + 1]


def drop_incomplete_line(path: Path) -> None:
    """Truncate the file before an incomplete last line. Raises ConfigError for a link."""
    complete = len(complete_part(path))
    with os.fdopen(open_unlinked(path), "r+b") as file:
        if complete < os.fstat(file.fileno()).st_size:
            file.truncate(complete)
            os.fsync(file.fileno())


def append_line(path: Path, line: str) -> None:
    """Append one line of text, without its line feed, to the file, which is created if it is missing. It is on disk
    when this returns. Raises AccessError if its folder is missing, and ConfigError for a link."""
    check_present(path.parent)
    with naming(path), os.fdopen(open_unlinked(path, os.O_APPEND), "a", encoding="utf-8") as file:
        new = file.tell() == 0
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_folder(path.parent)
