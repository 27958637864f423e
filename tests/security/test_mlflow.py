"""A database or server of MLflow does not decide where nowt writes on this machine."""

from pathlib import Path

import pytest

from nowt.tracking.refresh import rebuild
from nowt.tracking.stored_runs import check_place
from tests.support.hostile_files import refusal_of, write_files


@pytest.mark.parametrize("uri", ["file:///etc", "/etc", "file:///x/artifacts/../..", "relative", ""])
def test_files_are_written_into_the_store_only(uri: str, tmp_path: Path) -> None:
    assert "outside the store: delete mlflow.db" in refusal_of(lambda: check_place(uri, tmp_path / "artifacts"))
    assert "do not deliver to this server" in refusal_of(lambda: check_place(uri, None))


def test_the_places_of_a_store_and_of_a_server_are_accepted(tmp_path: Path) -> None:
    check_place((tmp_path / "my artifacts" / "1").as_uri(), tmp_path / "my artifacts")
    check_place("mlflow-artifacts:/1/a/artifacts", None)


def test_a_rebuild_writes_through_no_link(tmp_path: Path, valid: dict[str, bytes], outside: Path) -> None:
    store = write_files(tmp_path / "store", valid)
    (store / "artifacts").symlink_to(outside)
    assert "artifacts is a link out of the store" in refusal_of(lambda: rebuild(store))
