"""URLs of databases lead to their paths."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from nowt.core.urls import sqlite_file, sqlite_url


@pytest.mark.parametrize(
    "folder",
    ["runs", "my runs", "größe", "实验", "a#b", "50%", "a+b", "a:b@c", "runs?1", "my%20runs", "50%41", "{x}", "a&b=c"],
)
def test_the_url_of_a_database_leads_to_its_path(folder: str) -> None:
    path = Path("/tmp") / folder / "optuna.db"
    assert make_url(sqlite_url(path)).database == str(path)
    assert sqlite_file(sqlite_url(path)) == path


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true", "postgresql://h/n", "x"],
)
def test_other_urls_have_no_file(url: str) -> None:
    assert sqlite_file(url) is None
