"""URLs of databases: a path that a URL would change is refused."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from nowt.core.errors import ConfigError
from nowt.core.urls import sqlite_url


@pytest.mark.parametrize("folder", ["runs", "my runs", "größe", "实验", "a#b", "50%", "a+b", "a:b@c"])
def test_the_url_of_a_database_leads_to_its_path(folder: str) -> None:
    path = Path("/tmp") / folder / "optuna.db"
    assert make_url(sqlite_url(path)).database == str(path)


@pytest.mark.parametrize(("folder", "part"), [("runs?1", r"'\?'"), ("my%20runs", "'%20'")])
def test_a_path_that_a_url_would_change_is_refused(folder: str, part: str) -> None:
    path = Path("/tmp") / folder / "optuna.db"
    assert make_url(f"sqlite:///{path}").database != str(path)
    with pytest.raises(ConfigError, match=f"cannot hold a database, because its path contains {part}: rename"):
        sqlite_url(path)
