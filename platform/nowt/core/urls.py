"""Parses URLs given on the command line, and rejects passwords in them."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from nowt.core.errors import ConfigError, require


def database_url(text: str, option: str, example: str) -> URL:
    """Parse the database URL ``text``, given as ``option``.

    Raises ConfigError if it is not a URL, or contains a password, also among the settings of the driver.
    """
    try:
        parts = make_url(text)
    except ArgumentError:
        raise ConfigError(f"{option} is {text!r}: give a URL such as {example}") from None
    secret = [name for name in parts.query if "passw" in name.lower()]  # also sslpassword, but not passfile
    shown = parts.difference_update_query(secret).render_as_string()
    require(
        not parts.password and not secret,
        f"{option} {shown} contains a password, which others can read on a command line: leave it out, and put it "
        "where the database's client looks for it (PostgreSQL: ~/.pgpass)",
    )
    return parts


def sqlite_url(path: Path) -> str:
    """Return the URL of the sqlite database at the absolute ``path``, whatever characters the path has."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def sqlite_file(url: str) -> Path | None:
    """Return the file of an sqlite database by its URL; None for another database, one in memory, and one that SQLite
    itself finds by a URI."""
    try:
        parts = make_url(url)
    except ArgumentError:
        return None
    named = parts.get_backend_name() == "sqlite" and parts.database not in (None, "", ":memory:")
    return Path(str(parts.database)) if named and "uri" not in parts.query else None


def absolute_database_url(url: str) -> str:
    """Return the URL with an absolute path if it names an sqlite file, which may be given from another folder next
    time. In the path, ``~`` is the home folder."""
    path = sqlite_file(url)
    if path is None:
        return url
    return make_url(url).set(database=str(path.expanduser().resolve())).render_as_string(hide_password=False)


TRACKING_VARIABLE = "NOWT_RECORD"


def tracking_url(text: str, given_as: str) -> str:
    """Check the URL ``text``, given as ``given_as``. Raises ConfigError if it is invalid or contains a password."""
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # an invalid port
        parts, fine = urlsplit(""), False
    if parts.username or parts.password:
        raise ConfigError(
            f"{given_as} contains a user or password: leave them out, and put them where MLflow's client looks for "
            "them (~/.mlflow/credentials, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)"
        )
    require(fine, f"{given_as} is {text!r}: it must be the URL of an MLflow server, such as http://127.0.0.1:5000")
    return text.rstrip("/")


def tracking_url_from_environment() -> str:
    """Return the tracking server's URL; empty for the store's own mlflow.db. Raises ConfigError as ``tracking_url``
    does."""
    text = os.environ.get(TRACKING_VARIABLE, "").strip()
    return tracking_url(text, TRACKING_VARIABLE) if text else ""
