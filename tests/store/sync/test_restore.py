"""Two restores of one store at once."""

from pathlib import Path

import pytest

from nowt.core.errors import ConfigError
from nowt.store.locks import process_lock
from nowt.store.sync.bucket import Bucket
from nowt.store.sync.merge import Databases
from nowt.store.sync.restore import PARTIAL, restore


def test_a_second_restore_leaves_the_files_of_the_first_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bucket, "from_url", lambda url: Bucket(url, "lab", "nowt", None))
    monkeypatch.setattr(Bucket, "get", lambda self, name: None)
    fetched = tmp_path / PARTIAL / "logs" / "a.jsonl"
    fetched.parent.mkdir(parents=True)
    fetched.write_text("fetched by the first")
    databases = Databases(lambda other, store: 0, lambda other, store: None, lambda store, afresh: None)
    with (
        process_lock(tmp_path / f"{PARTIAL}.lock", "the first"),
        pytest.raises(ConfigError, match=r"is already being restored by process \d+ on .*: wait for it, or stop it"),
    ):
        restore("s3://lab/nowt", tmp_path, print, databases, continues=True)
    assert fetched.read_text() == "fetched by the first"
    with pytest.raises(ConfigError, match="there is no complete backup of a store"):
        restore("s3://lab/nowt", tmp_path, print, databases, continues=True)
