"""A valid store, built once, and the files of a user that no store or bucket may read or change."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hostile_files import MemoryBucket, contents, memory_bucket, valid_store


@pytest.fixture(scope="session")
def valid(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a valid store."""
    return valid_store(tmp_path_factory.mktemp("valid") / "store")


@pytest.fixture
def bucket() -> Iterator[MemoryBucket]:
    with memory_bucket() as made:
        yield made


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder of the user beside the stores, which is the same afterwards."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.json").write_text('{"rule": "made-up secret"}')
    (folder / "rule.py").write_text("raise SystemExit('imported')\n")
    before = contents(folder)
    yield folder
    assert contents(folder) == before
