"""A lock on a search in a PostgreSQL database, which stores on several machines can share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError

from nowt.core.errors import AccessError, ConfigError
from nowt.core.forked_children import close_in_children
from nowt.core.process_identity import ProcessIdentity

ENCODING = {"client_encoding": "utf8"}


@contextmanager
def exclusive_lock(url: str, key: str) -> Iterator[Callable[[], None]]:
    """Lock search ``key`` in the PostgreSQL database at ``url`` until the block or the process ends.

    The store's own lock does not cover a second store on another machine, and two drivers would ask for the same
    trials. The yielded function is to be called before each write: it takes the lock again if the server was restarted
    and has lost it. Other databases have no such lock; the store's lock alone protects their searches.

    Raises ConfigError if another driver has the lock, SQLAlchemyError if the database is not reachable. The yielded
    function raises OSError if another driver has taken the lock.
    """
    if not _is_postgresql(url):
        yield lambda: None
        return
    # AUTOCOMMIT: an idle transaction would keep the server from removing old rows
    named = {"application_name": str(ProcessIdentity.own())}  # for the message of a driver that is refused
    engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={**ENCODING, **named})
    event.listen(engine, "connect", _leave_to_this_process)
    lock = AdvisoryLock(key, make_url(url).render_as_string(), engine.connect())
    try:
        if not lock.acquire():
            raise ConfigError(f"{lock.taken}{lock.holder()}: wait for it, or stop it")
        yield lock.ensure
    finally:
        lock.connection.close()
        engine.dispose()


def _leave_to_this_process(connection: Any, _: object) -> None:
    """Close the connection in forked children, since the server keeps the lock as long as it is open."""
    close_in_children(connection.fileno())


@dataclass
class AdvisoryLock:
    """An advisory lock of PostgreSQL. The server keeps it as long as the connection is open."""

    key: str
    label: str
    connection: Connection

    @property
    def number(self) -> int:
        """The lock's number on the server."""
        return int.from_bytes(sha256(f"nowt search {self.key}".encode()).digest()[:8], signed=True)

    @property
    def taken(self) -> str:
        """The message if another process has the lock."""
        return f"search {self.key} is already being run from another store on {self.label}"

    def acquire(self) -> bool:
        """Try to take the lock. Return whether this process has it."""
        return bool(self.connection.scalar(text("SELECT pg_try_advisory_lock(:number)"), {"number": self.number}))

    def holder(self) -> str:
        """Return which process has the lock, such as `` by process 12 on HOST``; empty if the server does not say."""
        found = self.connection.scalar(
            text(
                "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' "
                "AND granted AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = :number"
            ),
            {"number": self.number},
        )
        return f" by {found}" if found else ""

    def ensure(self) -> None:
        """Take the lock again if its connection was lost. Raises OSError if another process has taken it."""
        try:
            self.connection.scalar(text("SELECT 1"))
        except DBAPIError:
            self.connection.close()
            self.connection = self.connection.engine.connect()
            if not self.acquire():
                raise AccessError(f"{self.taken}, since the server was restarted: wait for it, or stop it") from None


def engine_arguments(url: str) -> dict[str, Any]:
    """Return the arguments for an engine at ``url``. The client sets the encoding, because a PostgreSQL database with
    encoding SQL_ASCII would return text as bytes."""
    return {"connect_args": ENCODING} if _is_postgresql(url) else {}


def _is_postgresql(url: str) -> bool:
    return make_url(url).get_backend_name() == "postgresql"
