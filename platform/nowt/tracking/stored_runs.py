"""The runs that MLflow has of an experiment, and their tags and names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from mlflow import MlflowClient
from mlflow.entities import Run, RunTag

from nowt.core.errors import require
from nowt.tracking.projection import SUPERSEDED_TAG, marked_name

SEARCH_LIMIT = 50_000  # runs that MLflow returns from one search

NAME_TAG = "mlflow.runName"


@dataclass
class StoredRun:
    """The state of one run in MLflow."""

    run_id: str
    tags: dict[str, str]
    ended: tuple[str, int] | None = None  # status and end time
    last_epoch: int | None = None  # the last epoch that was sent; None: not looked up yet
    place: str = ""  # URI of its artifacts

    def set_tags(self, client: MlflowClient, tags: Mapping[str, str]) -> None:
        """Set the tags that differ, and delete those that are empty."""
        new = {name: text for name, text in tags.items() if self.tags.get(name, "") != text}
        for name in [name for name, text in new.items() if not text]:
            client.delete_tag(self.run_id, name)
        if new:
            client.log_batch(self.run_id, tags=[RunTag(*item) for item in new.items() if item[1]])
            self.tags |= new

    def rename(self, client: MlflowClient, superseded: bool) -> None:
        """Add the mark of superseded runs to the name, or remove it. The rest of the name, which a user may have
        changed, stays."""
        name = self.tags.get(NAME_TAG, "")  # of a run that was just created, the name is right
        if name and (marked := marked_name(name, superseded)) != name:
            client.update_run(self.run_id, name=marked)
            self.tags[NAME_TAG] = marked

    def mark(self, client: MlflowClient, successor: str) -> None:
        """Mark the run as superseded by the run ``successor``; if it is empty, as one that counts."""
        self.rename(client, bool(successor))
        self.set_tags(client, {SUPERSEDED_TAG: successor})


def check_place(uri: str, artifacts: Path | None) -> None:
    """Raise ConfigError if MLflow would write artifacts to a folder of this machine that is not in ``artifacts``.

    The URI comes from a database or server that somebody else may have written. ``artifacts`` is the folder of the
    store; None for those on a server, which stores its files itself.
    """
    place = urlparse(uri)
    if place.scheme not in ("", "file"):
        return
    inside = artifacts is not None and Path(unquote(place.path)).resolve().is_relative_to(artifacts.resolve())
    repair = "delete mlflow.db and run nowt rebuild" if artifacts is not None else "do not deliver to this server"
    require(inside, f"MLflow keeps files of this store in {unquote(place.path)}, outside the store: {repair}")


def search(client: MlflowClient, experiment: str, only: str = "") -> list[Run]:
    """Return the runs of an experiment that nowt wrote and, with ``only``, that match this filter of MLflow."""
    found = client.search_runs([experiment], only, max_results=SEARCH_LIMIT)
    return [run for run in found if "nowt.key" in run.data.tags]


def stored_runs(client: MlflowClient, experiment: str, only: str = "") -> dict[str, StoredRun]:
    """Return the runs that MLflow has, by run or study key.

    If it has a run twice (two stores sent it at once, or a server created it and died before answering), every client
    keeps the one with the lowest id. The other is deleted, and a client that was writing to it finds the first.
    """
    rows: dict[str, StoredRun] = {}
    for run in sorted(search(client, experiment, only), key=lambda run: str(run.info.run_id)):
        if run.data.tags["nowt.key"] in rows:
            client.delete_run(run.info.run_id)
        else:
            rows[run.data.tags["nowt.key"]] = stored_run(run)
    return rows


def stored_run(run: Run) -> StoredRun:
    """Return the state of a run that MLflow returned."""
    ended = (run.info.status, run.info.end_time) if run.info.end_time else None
    return StoredRun(run.info.run_id, dict(run.data.tags), ended, place=run.info.artifact_uri)
