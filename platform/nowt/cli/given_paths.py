"""Paths of the command line. They are made absolute before any custom file runs, which may change the working folder,
and are shown as they were given."""

import re
from pathlib import Path

_GIVEN: dict[str, str] = {}  # what was given, by absolute path


def absolute(given: str) -> str:
    """Return the absolute path of ``given``; an empty text for an empty one."""
    path = str(Path(given).absolute()) if given else ""
    if path != given:
        _GIVEN[path] = given
    return path


def as_given(text: str) -> str:
    """Return ``text`` with each absolute path as it was given."""
    for path in sorted(_GIVEN, key=len, reverse=True):
        text = re.sub(rf"(?<![\w/.-]){re.escape(path)}(?![\w-]|\.\w)", lambda _: _GIVEN[path], text)  # noqa: B023
    return text
