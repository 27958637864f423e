"""An experiment of an MLflow server or database, also of one that nowt did not write: its runs and metrics as frames.

A database is read by its table of metrics. Of a server a metric's history is asked for many runs at a time, by the call
behind MLflow's own charts; where a server has no such call, run by run.
"""

import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pandas as pd

from analysis.frames.schema import checked
from nowt.core.errors import nearest

RUNS = {  # one row a run; and after these its parameters and its own tags as texts, ``params.NAME`` and ``tags.NAME``
    "run": "str",  # MLflow's run id
    "name": "str",
    "status": "str",  # RUNNING, FINISHED, FAILED, KILLED, SCHEDULED
    "started": "datetime64[ms, UTC]",
    "ended": "datetime64[ms, UTC]",  # NaT while it runs
}

METRICS = {  # one row a value that was logged
    "run": "str",
    "metric": "str",
    "step": "int64",
    "time": "datetime64[ms, UTC]",
    "value": "float64",
}

PAGE = 1000  # runs of one answer

COLUMNS = ("key", "step", "timestamp", "value", "is_nan")  # of MLflow's table of metrics

RUNS_A_CALL, VALUES_A_CALL = 100, 25_000  # that a server's bulk call takes and gives at most

BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"

SECONDS = 10.0  # that a server has to answer the first time

RETRIES = "2"  # of a call that fails on the server; MLflow itself would try for four minutes

MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True)
class MlflowFrames:
    """An experiment's runs and metrics."""

    uri: str
    experiment: str
    runs: pd.DataFrame = field(repr=False)  # columns RUNS, parameters and tags
    metrics: pd.DataFrame = field(repr=False)  # columns METRICS, by run and metric, in the order of time and step


def read_mlflow(uri: str, experiment: str) -> MlflowFrames:
    """The frames of an experiment, by its name, at a tracking URI: ``http://...``, ``sqlite:///...`` or a folder.

    Deleted runs are left out. Raises ValueError, in one sentence, where nothing answers at ``uri``, where it is no
    MLflow, and for an unknown experiment, naming the nearest.
    """
    _require_answer(uri)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    import nowt.tracking  # noqa: F401  (switches MLflow's telemetry off, before it is imported)

    try:
        client = MlflowClient(tracking_uri=uri)
        runs = _runs(client, _experiment(client, uri, experiment))
        values = _from_database(client, runs) or [
            pd.DataFrame(_values(client, metric, ids)) for metric, ids in _runs_by_metric(runs).items()
        ]
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise ValueError(f"MLflow at {uri} cannot be read: {(str(error).splitlines() or [''])[0]}") from error
    return MlflowFrames(uri, experiment, _run_frame(runs), _metric_frame(values, [run.info.run_id for run in runs]))


def _require_answer(uri: str) -> None:
    place = urlsplit(uri)
    if place.scheme in ("http", "https"):
        try:
            with urllib.request.urlopen(uri, timeout=SECONDS) as answer:
                answer.read()  # a server that is hung up on leaves its page open
        except urllib.error.HTTPError:
            return  # an answer all the same; what it refuses is told by the next one
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise ValueError(f"no MLflow server answers at {uri} ({reason}): start it, or check the address") from None
    elif place.scheme == "sqlite":
        _require_database(Path(unquote(place.path)[1:]))
    elif place.scheme in ("", "file") and not Path(unquote(place.path)).is_dir():
        raise ValueError(f"there is no folder {uri}: give the tracking URI of an MLflow, as http://HOST:PORT")


def _require_database(path: Path) -> None:
    """Else MLflow would make a new database there, or try an unreadable one for minutes."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                return
    except OSError as error:
        raise ValueError(f"there is no MLflow database at {path} ({error.strerror or error})") from None
    raise ValueError(f"{path} is not an MLflow database")


def _experiment(client: Any, uri: str, name: str) -> str:
    """MLflow's id of the experiment."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    names = [experiment.name for experiment in client.search_experiments()]
    raise ValueError(f"MLflow at {uri} has no experiment {name!r}{nearest(name, names)}; it has: {', '.join(names)}")


def _runs(client: Any, experiment: str) -> list[Any]:
    runs: list[Any] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs([experiment], max_results=PAGE, page_token=token or None)
        runs += page
        token = page.token or None
    return runs


def _from_database(client: Any, runs: Sequence[Any]) -> list[pd.DataFrame]:
    """The rows of MLflow's table of metrics, where this process has the database itself; else nothing."""
    store = client._tracking_client.store
    if not hasattr(store, "engine"):
        return []
    from mlflow.store.tracking.dbmodels.models import SqlMetric
    from sqlalchemy import select

    columns = {"run_id": SqlMetric.run_uuid, **{name: getattr(SqlMetric, name) for name in COLUMNS}}
    ids = [run.info.run_id for run in runs]
    queries = [
        select(*(column.label(name) for name, column in columns.items())).where(
            SqlMetric.run_uuid.in_(ids[i : i + PAGE])
        )
        for i in range(0, len(ids), PAGE)
    ]
    frames = [pd.read_sql_query(query, store.engine) for query in queries]
    return [frame.assign(value=frame["value"].mask(frame["is_nan"].astype(bool))) for frame in frames]


def _runs_by_metric(runs: Sequence[Any]) -> dict[str, list[str]]:
    having: dict[str, list[str]] = {}
    for run in runs:
        for metric in run.data.metrics:
            having.setdefault(metric, []).append(run.info.run_id)
    return having


def _values(client: Any, metric: str, runs: Sequence[str]) -> list[dict[str, Any]]:
    """Every value of one metric in these runs."""
    chunks = (runs[first : first + RUNS_A_CALL] for first in range(0, len(runs), RUNS_A_CALL))
    return [value for chunk in chunks for value in _chunk(client, metric, chunk)]


def _chunk(client: Any, metric: str, runs: Sequence[str]) -> list[dict[str, Any]]:
    found = _bulk(client, metric, runs)
    if found is not None and len(found) < VALUES_A_CALL:
        return found
    if found is None or len(runs) == 1:  # no such call, or a history longer than it gives
        return [value for run in runs for value in _one_by_one(client, metric, run)]
    half = len(runs) // 2
    return _chunk(client, metric, runs[:half]) + _chunk(client, metric, runs[half:])


def _bulk(client: Any, metric: str, runs: Sequence[str]) -> list[dict[str, Any]] | None:
    """The values of many runs in one call; None where there is no server, or none that has such a call."""
    from mlflow.utils.rest_utils import http_request

    store = client._tracking_client.store
    if not hasattr(store, "get_host_creds"):
        return None
    params = {"run_id": list(runs), "metric_key": metric, "max_results": VALUES_A_CALL}
    reply = http_request(store.get_host_creds(), BULK, "GET", params=params)
    if reply.status_code != 200:
        return None
    values: list[dict[str, Any]] = reply.json()["metrics"]
    return values


def _one_by_one(client: Any, metric: str, run: str) -> Iterator[dict[str, Any]]:
    for value in client.get_metric_history(run, metric):
        yield {**dict(value), "run_id": run}


def _run_frame(runs: Sequence[Any]) -> pd.DataFrame:
    rows = [_run(run) for run in runs]
    frame = pd.DataFrame(rows, columns=list(dict.fromkeys([*RUNS, *(name for row in rows for name in row)])))
    for name in ("started", "ended"):
        frame[name] = pd.to_datetime(frame[name].astype("Int64"), unit="ms", utc=True)
    return checked(frame, RUNS | dict.fromkeys(frame.columns[len(RUNS) :], "str"))


def _run(run: Any) -> dict[str, Any]:
    own = {name: text for name, text in run.data.tags.items() if not name.startswith("mlflow.")}
    return {
        "run": run.info.run_id,
        "name": run.info.run_name or "",
        "status": run.info.status,
        "started": run.info.start_time,
        "ended": run.info.end_time or None,
        **{f"params.{name}": text for name, text in run.data.params.items()},
        **{f"tags.{name}": text for name, text in own.items()},
    }


def _metric_frame(values: Sequence[pd.DataFrame], runs: Sequence[str]) -> pd.DataFrame:
    empty = pd.DataFrame(columns=["run_id", "key", "step", "timestamp", "value"])
    frame = pd.concat(values, ignore_index=True) if values else empty
    frame = frame.rename(columns={"run_id": "run", "key": "metric"})
    frame["time"] = pd.to_datetime(frame["timestamp"].astype("int64"), unit="ms", utc=True)
    order = frame["run"].map({run: number for number, run in enumerate(runs)})
    ordered = frame.assign(order=order).sort_values(["order", "metric", "timestamp", "step"], kind="stable")
    return checked(ordered.reset_index(drop=True), METRICS)
