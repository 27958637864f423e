"""One-line messages for the user: errors in the input, and the type of functions that print a line of progress.

Imports nothing heavy, since every module needs it.
"""

import difflib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from nowt.core.formatting import printable

Echo = Callable[[str], None]  # prints one line


class UserError(ValueError):
    """An error that the user can mend. The message is one line: what was found, what is allowed, what to do.

    Commands print the message of these errors only. Any other exception is a bug, and keeps its traceback.
    """


class AccessError(UserError, OSError):
    """A file, a disk, a database or a server that cannot be used now. The message is one line."""


class ConfigError(UserError):
    """An invalid config. The message is one line with the field, the given value and what is allowed.

    Example:
        >>> from nowt import ConfigError, OptimConfig
        >>> try:
        ...     OptimConfig(lr=-1.0)
        ... except ConfigError as error:
        ...     print(error)
        optim.lr is -1.0: it must be above 0
    """


# errors of the file system that are no bug of the program
NO_ACCESS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ESTALE,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOTCONN,  # of a mount whose server has gone
    errno.EBUSY,
    errno.ETIMEDOUT,
    *(getattr(errno, name) for name in ("EUCLEAN", "EREMOTEIO", "ENOKEY", "EKEYEXPIRED") if hasattr(errno, name)),
}


NO_TEMPORARY_FOLDER = "No usable temporary directory"


def access_problem(error: OSError) -> str:
    """Return one line for an error of the file system, with the file if it is known; an empty text for any other."""
    if str(error.strerror).startswith(NO_TEMPORARY_FOLDER):  # of ``tempfile``, which other packages use as well
        return f"{error.strerror}: free disk space, or set TMPDIR to a writable folder"
    if error.errno == errno.ENOENT and not _has_current_folder():
        return "the current folder has been deleted: change to another one (cd)"
    if error.errno is None or error.errno not in NO_ACCESS:
        return ""
    reason = error.strerror or os.strerror(error.errno)
    return f"{reason}: {error.filename}" if error.filename else reason


def _has_current_folder() -> bool:
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


def user_message(error: BaseException) -> str:
    """Return what is wrong as one line without control characters, since it may quote a file; empty for a bug."""
    if isinstance(error, UserError):
        return printable(str(error), keep="")
    return printable(access_problem(error), keep="") if isinstance(error, OSError) else ""


@contextmanager
def naming(path: object) -> Iterator[None]:
    """Name the file at ``path`` in an OSError that does not name one, such as that of a full disk. It is raised even
    where a library, such as torch, has replaced it by an error of its own."""
    handled = sys.exception()  # by the caller: not from the block
    try:
        yield
    except Exception as error:
        found = _os_error(error, handled)
        if found is not None and found.errno is not None and found.filename is None:
            found.filename = str(path)
        if found is None or found is error:
            raise
        raise found from None


def _os_error(error: BaseException | None, handled: BaseException | None) -> OSError | None:
    """Return ``error`` if it is an OSError, or else the one that it has replaced; None for a message to the user."""
    while error is not None and error is not handled and not isinstance(error, UserError):
        if isinstance(error, OSError):
            return error
        error = error.__context__
    return None


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


class DataError(UserError):
    """Unusable image data. The message is one line with the file or folder and what is expected.

    Example:
        >>> from nowt import DataError, Placement, recipes, train
        >>> try:
        ...     epochs = list(train(recipes.folder_resnet18(), Placement(device="cpu", data="missing")))
        ... except DataError as error:
        ...     print(error)
        missing is not a folder: the data folder must be the one that contains train/CLASS/*.jpg and val/CLASS/*.jpg
    """
