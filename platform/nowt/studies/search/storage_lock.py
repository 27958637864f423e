"""Optuna's storage on a server that several machines reach: one search, one driver, whatever the store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from nowt.core.errors import ConfigError


@contextmanager
def sole_driver(url: str, key: str) -> Iterator[Callable[[], None]]:
    """Hold search ``key`` in the PostgreSQL database at ``url`` until the block or the process ends. What it yields is
    called before each write: a server that was restarted knows nothing of the hold, and is asked for it again.

    The store's own lock cannot see a second store on another machine; two drivers would ask for the same trials. Other
    databases have no such lock: their searches are held by the store alone. Raises ConfigError where another driver
    holds the search, SQLAlchemyError where the database cannot be reached; the call raises OSError for the former.
    """
    if not _is_postgresql(url):
        yield lambda: None
        return
    # AUTOCOMMIT: an idle transaction would hold old rows back
    engine = create_engine(url, isolation_level="AUTOCOMMIT", **engine_arguments(url))
    hold = _Hold(key, make_url(url).render_as_string(), engine.connect())
    try:
        if not hold.take():
            raise ConfigError(f"{hold.taken}: wait for it, or stop it")
        yield hold.keep
    finally:
        hold.connection.close()
        engine.dispose()


@dataclass
class _Hold:
    """An advisory lock, which the server keeps as long as the connection lives."""

    key: str
    place: str
    connection: Connection

    @property
    def taken(self) -> str:
        """What is said where another has it."""
        return f"search {self.key} is already being run from another store on {self.place}"

    def take(self) -> bool:
        """Whether the lock is this process's now."""
        number = int.from_bytes(sha256(f"nowt search {self.key}".encode()).digest()[:8], signed=True)
        return bool(self.connection.scalar(text("SELECT pg_try_advisory_lock(:number)"), {"number": number}))

    def keep(self) -> None:
        """Take the lock again where its connection was lost. Raises OSError where another has it by now."""
        try:
            self.connection.scalar(text("SELECT 1"))
        except DBAPIError:
            self.connection.close()
            self.connection = self.connection.engine.connect()
            if not self.take():
                raise OSError(f"{self.taken}, since the server was restarted: wait for it, or stop it") from None


def engine_arguments(url: str) -> dict[str, Any]:
    """What an engine for ``url`` needs: from a PostgreSQL database of no encoding (SQL_ASCII) text comes as bytes."""
    return {"connect_args": {"client_encoding": "utf8"}} if _is_postgresql(url) else {}


def _is_postgresql(url: str) -> bool:
    return make_url(url).get_backend_name() == "postgresql"
