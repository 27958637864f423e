"""File locks: an exclusive one shuts out all others, shared ones allow each other, and closing the file releases it."""

from pathlib import Path

from nowt.store.locks import lock_file


def test_an_exclusive_lock_shuts_out_others_until_its_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as first, path.open("w") as second:
        assert lock_file(first)
        assert not lock_file(second) and not lock_file(second, shared=True)
        first.close()
        assert lock_file(second, wait=True)


def test_shared_locks_allow_each_other_and_no_exclusive_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as first, path.open("w") as second, path.open("w") as third:
        assert lock_file(first, shared=True) and lock_file(second, shared=True)
        assert not lock_file(third)
