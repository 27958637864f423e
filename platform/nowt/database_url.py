"""The URL of a database as a user gives it on a command line: without a password, which others could read there."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from nowt.errors import ConfigError, require


def database_url(text: str, option: str, example: str) -> URL:
    """The parts of the URL in ``text``, given as ``option``. Raises ConfigError for what is none or names a password,
    in its place or among the driver's own settings."""
    try:
        parts = make_url(text)
    except ArgumentError:
        raise ConfigError(f"{option} is {text!r}: give a URL such as {example}") from None
    secret = [name for name in parts.query if "passw" in name.lower()]  # sslpassword, too; not passfile
    shown = parts.difference_update_query(secret).render_as_string()
    require(
        not parts.password and not secret,
        f"{option} {shown} names a password, which others can read on a command line: leave it out, and put it where "
        "the database's client looks for it (PostgreSQL: ~/.pgpass)",
    )
    return parts
