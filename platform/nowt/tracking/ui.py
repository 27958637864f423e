"""The command behind ``nowt ui``: MLflow's web page on a store, for this machine only."""

import socket
import sys
from pathlib import Path

from nowt.store.layout import Store
from nowt.tracking.database import connect, database_uri

HOST = "127.0.0.1"

TRAINING = "workflowType=machine_learning"  # else MLflow shows what it has for language models


def ui_command(store: Path, port: int = 5000) -> list[str]:
    """The command that serves the page; prints its address. Where ``port`` is taken, it is another free one.

    Raises ValueError for a store without a record, and for one that is no database.
    """
    path = Store(store).mlflow_db
    if not path.exists():
        raise ValueError(f"there is no {path}: nowt ablate writes it, nowt rebuild restores it from the logs")
    free = _free_port(port)
    taken = f"port {port} is taken, so " if free != port else ""
    print(f"{taken}in a few seconds MLflow is at http://{HOST}:{free}/{_newest(path)}")
    print("For the other studies choose Model training there, at the top left. Ctrl-C ends it.", flush=True)
    options = {
        "--backend-store-uri": database_uri(path),
        "--host": HOST,
        "--port": str(free),
        "--workers": "1",
        "--uvicorn-opts": "--log-level warning",
    }
    return [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        *(word for option in options.items() for word in option),
    ]


def _newest(path: Path) -> str:
    """Where on MLflow's page the newest experiment's runs are."""
    found = connect(path).search_experiments(max_results=1, order_by=["creation_time DESC"])
    return f"#/experiments/{found[0].experiment_id}/runs?{TRAINING}" if found else ""


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
