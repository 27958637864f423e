"""What is wrong with what a user gave, in one line. Imports nothing heavy: whoever refuses something needs it."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A config that cannot be: one line that names the field, what was given and what is allowed."""


def require(ok: bool, message: str) -> None:
    """Raise ConfigError with ``message`` unless ``ok``."""
    if not ok:
        raise ConfigError(message)


def nearest(word: str, words: Iterable[str]) -> str:
    """`` (did you mean X?)`` for the word most like ``word``, or nothing."""
    lower = {known.lower(): known for known in words}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    return f" (did you mean {lower[found[0]]}?)" if found else ""


class DataError(ValueError):
    """Pictures that cannot be used: one line that names the file or folder and says what is expected."""
