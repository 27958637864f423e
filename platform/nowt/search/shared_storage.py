"""Optuna's storage on a server that several machines reach: one search, one driver, whatever the store."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from sqlalchemy import create_engine, make_url, text

from nowt.errors import ConfigError


@contextmanager
def sole_driver(url: str, key: str) -> Iterator[None]:
    """Hold search ``key`` in the PostgreSQL database at ``url`` until the block, the process or its connection ends.

    The store's own lock cannot see a second store on another machine; two drivers would ask for the same trials. Other
    databases have no such lock: their searches are held by the store alone. Raises ConfigError where another driver
    holds the search, SQLAlchemyError where the database cannot be reached.
    """
    if not _is_postgresql(url):
        yield
        return
    number = int.from_bytes(sha256(f"nowt search {key}".encode()).digest()[:8], signed=True)
    # AUTOCOMMIT: an idle transaction would hold old rows back
    engine = create_engine(url, isolation_level="AUTOCOMMIT", **engine_arguments(url))
    try:
        with engine.connect() as connection:
            if not connection.scalar(text("SELECT pg_try_advisory_lock(:number)"), {"number": number}):
                place = make_url(url).render_as_string()
                raise ConfigError(
                    f"search {key} is already being run from another store on {place}: wait for it, or stop it"
                )
            yield
    finally:
        engine.dispose()


def engine_arguments(url: str) -> dict[str, Any]:
    """What an engine for ``url`` needs: from a PostgreSQL database of no encoding (SQL_ASCII) text comes as bytes."""
    return {"connect_args": {"client_encoding": "utf8"}} if _is_postgresql(url) else {}


def _is_postgresql(url: str) -> bool:
    return make_url(url).get_backend_name() == "postgresql"
