"""Runs and metrics of any MLflow experiment as frames, including experiments that nowt did not write.

A database is read through its metrics table. From a server, the history of a metric is requested for many runs at a
time, with the call that MLflow's own charts use; if the server does not offer this call, it is requested run by run.
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

from analysis.frames.schema import enforce_schema
from nowt.core.errors import UserError, did_you_mean
from nowt.store.database_files import check_database
from nowt.store.files import open_plain_file

RUNS = {  # one row per run; followed by its parameters and tags as text, ``params.NAME`` and ``tags.NAME``
    "run": "str",  # MLflow's run ID
    "name": "str",
    "status": "str",  # RUNNING, FINISHED, FAILED, KILLED, SCHEDULED
    "started": "datetime64[ms, UTC]",
    "ended": "datetime64[ms, UTC]",  # NaT while the run is active
}

METRICS = {  # one row per logged value
    "run": "str",
    "metric": "str",
    "step": "int64",
    "time": "datetime64[ms, UTC]",
    "value": "float64",
}

PAGE = 1000  # runs per request

COLUMNS = ("key", "step", "timestamp", "value", "is_nan")  # of MLflow's metrics table

RUNS_A_CALL, VALUES_A_CALL = 100, 25_000  # limits of the server's bulk call

BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"

SECONDS = 10.0  # timeout of the first request to a server

RETRIES = "2"  # of a failing request; MLflow's default retries for four minutes

MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True)
class MlflowFrames:
    """The runs and metrics of an MLflow experiment.

    Attributes:
        uri: Tracking URI.
        experiment: Name of the experiment.
        runs: One row per run: columns ``RUNS``, then ``params.NAME`` and ``tags.NAME`` as text.
        metrics: One row per logged value, columns ``METRICS``, ordered by run, metric, time and step.
    """

    uri: str
    experiment: str
    runs: pd.DataFrame = field(repr=False)
    metrics: pd.DataFrame = field(repr=False)


def read_mlflow(uri: str, experiment: str) -> MlflowFrames:
    """Read an MLflow experiment. Deleted runs are left out.

    Args:
        uri: Tracking URI: a server (``http://127.0.0.1:5000``), a database (``sqlite:////path/mlflow.db``) or a folder.
        experiment: Name of the experiment.

    Returns:
        The frames of its runs and metrics.

    Raises:
        ValueError: No MLflow is available at ``uri``, or it has no such experiment; the message names the nearest one.

    Example:
        >>> lab = read_mlflow("http://127.0.0.1:5000", "feedback alignment")  # doctest: +SKIP
        >>> lab.metrics.query("metric == 'val_error'")  # doctest: +SKIP
    """
    _require_answer(uri)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    import nowt.tracking  # noqa: F401  (disables MLflow's telemetry before MLflow is imported)

    try:
        client = MlflowClient(tracking_uri=uri)
        runs = _runs(client, _experiment(client, uri, experiment))
        values = _from_database(client, runs) or [
            pd.DataFrame(_values(client, metric, ids)) for metric, ids in _runs_by_metric(runs).items()
        ]
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise UserError(f"MLflow at {uri} cannot be read: {(str(error).splitlines() or [''])[0]}") from error
    return MlflowFrames(uri, experiment, _run_frame(runs), _metric_frame(values, [run.info.run_id for run in runs]))


def _require_answer(uri: str) -> None:
    place = urlsplit(uri)
    if place.scheme in ("http", "https"):
        try:
            with urllib.request.urlopen(uri, timeout=SECONDS) as answer:
                answer.read()  # closing the connection early would leave the response open on the server
        except urllib.error.HTTPError:
            return  # it is a server; the next request reports what it refuses
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise UserError(f"no MLflow server answers at {uri} ({reason}): start it, or check the address") from None
    elif place.scheme == "sqlite":
        _require_database(Path(unquote(place.path)[1:]))
    elif place.scheme in ("", "file") and not Path(unquote(place.path)).is_dir():
        raise UserError(
            f"there is no folder {uri}: give the tracking URI of an MLflow server or store, such as http://HOST:PORT"
        )


def _require_database(path: Path) -> None:
    """Raise ValueError if SQLite must not open the file, and if there is no database: MLflow would create one, or retry
    an unreadable one for minutes."""
    check_database(path)
    try:
        with open_plain_file(path) as file:
            if file.read(len(MAGIC)) == MAGIC:
                return
    except OSError as error:
        raise UserError(f"there is no MLflow database at {path} ({error.strerror or error})") from None
    raise UserError(f"{path} is not an MLflow database")


def _experiment(client: Any, uri: str, name: str) -> str:
    """Return MLflow's ID of the experiment."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    names = [experiment.name for experiment in client.search_experiments()]
    raise UserError(
        f"MLflow at {uri} has no experiment {name!r}{did_you_mean(name, names)}; it has: {', '.join(names)}"
    )


def _runs(client: Any, experiment: str) -> list[Any]:
    runs: list[Any] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs([experiment], max_results=PAGE, page_token=token or None)
        runs += page
        token = page.token or None
    return runs


def _from_database(client: Any, runs: Sequence[Any]) -> list[pd.DataFrame]:
    """Return the rows of MLflow's metrics table if the URI is a database; otherwise an empty list."""
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
    """Return every value of one metric in these runs."""
    chunks = (runs[first : first + RUNS_A_CALL] for first in range(0, len(runs), RUNS_A_CALL))
    return [value for chunk in chunks for value in _chunk(client, metric, chunk)]


def _chunk(client: Any, metric: str, runs: Sequence[str]) -> list[dict[str, Any]]:
    found = _bulk(client, metric, runs)
    if found is not None and len(found) < VALUES_A_CALL:
        return found
    if found is None or len(runs) == 1:  # no such call, or a history beyond its limit
        return [value for run in runs for value in _one_by_one(client, metric, run)]
    half = len(runs) // 2
    return _chunk(client, metric, runs[:half]) + _chunk(client, metric, runs[half:])


def _bulk(client: Any, metric: str, runs: Sequence[str]) -> list[dict[str, Any]] | None:
    """Return the values of many runs in one call; None without a server that offers the call."""
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
    return enforce_schema(frame, RUNS | dict.fromkeys(frame.columns[len(RUNS) :], "str"))


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
    return enforce_schema(ordered.reset_index(drop=True), METRICS)
