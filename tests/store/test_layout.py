"""The paths of a store's files: a key from a file never leads out of the store."""

from pathlib import Path

import pytest

from nowt.core.errors import ConfigError
from nowt.store.layout import Store, is_plain

ODD = ("", ".", "..", ".hidden", "/etc/passwd", "a/b", "../../poetry", "a\\b", "a\nb", "a\0")


@pytest.mark.parametrize("key", ODD)
def test_a_key_that_leads_elsewhere_is_refused(key: str) -> None:
    assert not is_plain(key)
    store = Store(Path("runs"))
    for path in (store.log, store.checkpoints, store.study_file, store.study_runs, store.lock, store.probes):
        with pytest.raises(ConfigError, match="is not a key: it must have no slashes and not begin with a dot"):
            path(key)


@pytest.mark.parametrize(
    "key", ["0123456789ab", "rules_on_digits-1a2b3c4d", "my study 2.1 +x=3-1a2b3c4d", "größe-1", "-a"]
)
def test_keys_that_nowt_writes_are_plain(key: str) -> None:
    assert is_plain(key)
    assert Store(Path("runs")).log(key) == Path("runs/logs") / f"{key}.jsonl"
