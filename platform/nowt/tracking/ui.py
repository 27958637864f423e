"""The command that ``nowt ui`` runs: MLflow's web page for a store, on localhost only.

Every user of the machine can reach the page, and could change or delete runs there. So it asks for the password of
``nowt serve``, unless ``--no-password`` is given.
"""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from nowt.core.errors import ConfigError
from nowt.store.existing import require_store
from nowt.store.layout import Store
from nowt.tracking.database import connect
from nowt.tracking.keeper_folder import keeper_folder
from nowt.tracking.server import ADMIN, HOST, SAFE_PATH, TrackingServer

AUTHENTICATION = ("--app-name", "basic-auth")  # words of the server's command

TRAINING = "workflowType=machine_learning"  # otherwise MLflow shows its views for language models


@dataclass(frozen=True)
class Page:
    """The command that serves the page, the folder in which it is to be run, and its environment."""

    folder: Path
    command: list[str]
    environment: dict[str, str]


def web_page(store: Path, port: int = 5000, password: bool = True) -> Page:
    """Return how the web page is served, and print its address. If ``port`` is in use, another free port is taken.

    With ``password`` (default: True), the page asks for the user and password in ``STORE/keeper/credentials``, which
    are created if there are none. Raises ConfigError for a store without an MLflow database, ValueError for a file that
    is not one.
    """
    require_store(store)
    path = Store(store).mlflow_db
    if not path.exists():
        raise ConfigError(f"there is no {path}: nowt ablate writes it, nowt rebuild restores it from the logs")
    free = _free_port(port)
    taken = f"Port {port} is in use. " if free != port else ""
    home = keeper_folder(store)
    # relative, since a path might have characters that MLflow takes for others
    server = TrackingServer(home, free, f"sqlite:///../{path.name}", users="ui-auth")
    print(f"{taken}{_access(server, password)}")
    print(f"MLflow will be available in a few seconds at http://{HOST}:{free}/{_newest(path)}")
    print("To see other studies, choose Model training at the top left. Press Ctrl-C to stop.", flush=True)
    if password:
        # no connection outlives a call, so that a rebuilt database is noticed at once
        return Page(home, server.command(), {**server.environment(), "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool"})
    return Page(home, [word for word in server.command() if word not in AUTHENTICATION], {**os.environ, **SAFE_PATH})


def _access(server: TrackingServer, password: bool) -> str:
    """Return who can open the page; the password itself only for a terminal, since it must not end up in a log file."""
    if not password:
        return "Every user of this machine can open this page and change runs: leave out --no-password to prevent it."
    shown = f"password {server.password()}" if sys.stdout.isatty() else f"password in {server.credentials}"
    return f"The page asks for a user and a password: user {ADMIN}, {shown}"


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
