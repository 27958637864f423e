"""Links in a store that is used directly: nothing is written, truncated or renamed through one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nowt.config.placement import Placement
from nowt.data.content import table_path
from nowt.evaluation.certify.run import certify_into
from nowt.evaluation.probes.results import ProbeSettings, open_results
from nowt.rules.registry import find_rule
from nowt.store.jsonl import append_line, drop_incomplete_line
from nowt.store.locks import study_lock
from nowt.store.sync.merge import merge
from nowt.studies.upgrade.run import upgrade
from nowt.tracking.outbox import Outbox
from nowt.tracking.refresh import rebuild
from tests.support.hostile_files import NO_DATABASES, UNFINISHED, contents, refusal_of, write_files

URL = "http://127.0.0.1:5000"

LINKS = ("logs", "studies", "checkpoints", f"checkpoints/{UNFINISHED}", "certificates", "probes", "probes/x-01234567")
LINKS += ("delivered", "delivered/http_127.0.0.1_5000", "delivered/http_127.0.0.1_5000/runs", "cache", "earlier")
LINKS += ("earlier/logs", "artifacts", "pulled")


@pytest.fixture
def store(tmp_path: Path, valid: dict[str, bytes]) -> Path:
    return write_files(tmp_path / "store", valid)


def locked(store: Path) -> None:
    with study_lock(store, "x-01234567"):
        pass


def probed(store: Path) -> None:
    with open_results(store, "x-01234567", "cka", ProbeSettings("", 1, "val", "")):
        pass


def merged(store: Path) -> None:
    (store.parent / "other" / "logs").mkdir(parents=True)
    merge(store.parent / "other", store, lambda line: None, NO_DATABASES)


WRITERS: dict[str, Callable[[Path], object]] = {
    "study": locked,
    "probe": probed,
    "merge": merged,
    "delivery": lambda store: Outbox.for_server(store, URL),
    "rebuild": rebuild,
    "upgrade": lambda store: upgrade(Placement(store=str(store)), lambda line: None),
    "certificate": lambda store: certify_into(store, find_rule("bp")()),
    "table of digests": lambda store: table_path(store, Placement(store=str(store))),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("name", LINKS)
def test_nothing_is_written_through_a_folder_that_is_a_link(
    name: str, write: Callable[[Path], object], store: Path, outside: Path
) -> None:
    path = store / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.rename(store.parent / "moved")
    path.symlink_to(outside)
    before = contents(store)
    assert f"{name} is a link out of the store, where nothing is written" in refusal_of(lambda: write(store))
    assert contents(store) == before


def test_no_line_is_appended_or_dropped_through_a_link(store: Path, outside: Path) -> None:
    (outside / "key").write_text("SECRET-KEY")
    path = store / "studies" / "x-01234567.runs.jsonl"
    path.symlink_to(outside / "key")
    for write in (drop_incomplete_line, lambda path: append_line(path, "{}")):
        assert "x-01234567.runs.jsonl is a link: delete it" in refusal_of(lambda write=write: write(path))
    assert (outside / "key").read_text() == "SECRET-KEY"
    (outside / "key").unlink()


@pytest.mark.parametrize("name", ["url", "studies/s", "s.lock"])
def test_a_delivery_changes_no_file_that_a_link_names(name: str, store: Path, outside: Path) -> None:
    path = Outbox.for_server(store, URL).folder / name
    path.unlink(missing_ok=True)
    path.symlink_to(outside / "secret.json")

    def delivered() -> None:
        outbox = Outbox.for_server(store, URL)
        outbox.add_study("s")
        with outbox.lock("s"):
            pass

    assert f"{path} is a link" in refusal_of(delivered)


def test_a_part_of_a_store_may_be_a_link_within_it(store: Path) -> None:
    (store / "checkpoints").rename(store / "moved")
    (store / "checkpoints").symlink_to("moved")
    locked(store)
