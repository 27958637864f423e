"""The command that ``nowt ui`` runs: MLflow's web page for a store, on localhost only."""

import socket
import sys
from pathlib import Path

from nowt.store.existing import require_store
from nowt.store.layout import Store
from nowt.tracking.database import connect

HOST = "127.0.0.1"

TRAINING = "workflowType=machine_learning"  # otherwise MLflow shows its views for language models


def ui_command(store: Path, port: int = 5000) -> list[str]:
    """Return the command that serves the web page, to be run in the folder ``store``, and print its address. If
    ``port`` is in use, another free port is taken.

    Raises ValueError for a store without an MLflow database, and for a file that is not one.
    """
    require_store(store)
    path = Store(store).mlflow_db
    if not path.exists():
        raise ValueError(f"there is no {path}: nowt ablate writes it, nowt rebuild restores it from the logs")
    free = _free_port(port)
    taken = f"Port {port} is in use. " if free != port else ""
    print(f"{taken}MLflow will be available in a few seconds at http://{HOST}:{free}/{_newest(path)}")
    print("To see other studies, choose Model training at the top left. Press Ctrl-C to stop.", flush=True)
    options = {
        "--backend-store-uri": f"sqlite:///{path.name}",  # a path might have characters that MLflow takes for others
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
    """Return the address of the newest experiment's runs within MLflow's web page."""
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
