"""One-line messages for the user: errors in the input, and the type of functions that print a line of progress.

Imports nothing heavy, since every module needs it.
"""

import difflib
from collections.abc import Callable, Iterable

Echo = Callable[[str], None]  # prints one line


class ConfigError(ValueError):
    """An invalid config. The message is one line with the field, the given value and what is allowed.

    Example:
        >>> from nowt import ConfigError, OptimConfig
        >>> try:
        ...     OptimConfig(lr=-1.0)
        ... except ConfigError as error:
        ...     print(error)
        optim.lr is -1.0: it must be above 0
    """


def require(ok: bool, message: str) -> None:
    """Raise ConfigError with ``message`` unless ``ok``."""
    if not ok:
        raise ConfigError(message)


def nearest(word: str, words: Iterable[str]) -> str:
    """Return the most similar of ``words``, or an empty text if none is similar."""
    lower = {known.lower(): known for known in words}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    return lower[found[0]] if found else ""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return `` (did you mean X?)`` for the most similar of ``words``, or an empty text."""
    found = nearest(word, words)
    return f" (did you mean {found}?)" if found else ""


class DataError(ValueError):
    """Unusable image data. The message is one line with the file or folder and what is expected.

    Example:
        >>> from nowt import DataError, Placement, recipes, train
        >>> try:
        ...     epochs = list(train(recipes.folder_resnet18(), Placement(device="cpu", data="missing")))
        ... except DataError as error:
        ...     print(error)
        missing is not a folder: the data folder must be the one that contains train/CLASS/*.jpg and val/CLASS/*.jpg
    """
