"""``nowt ui``: MLflow's own page on a store's record, on this machine alone."""

import socket
import sys
from pathlib import Path

from nowt.record import database


def ui_command(store: Path, port: int) -> list[str]:
    """The command that serves the record's page on this machine alone."""
    if not (store / "mlflow.db").exists():
        raise ValueError(
            f"there is no record in {store}: nowt ablate rules_on_digits makes one, nowt rebuild restores one"
        )
    with socket.socket() as test:
        test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            test.bind(("127.0.0.1", port))
        except OSError:
            test.bind(("127.0.0.1", 0))
        free = test.getsockname()[1]
    print(f"MLflow at http://127.0.0.1:{free} (Ctrl-C stops it)", flush=True)
    place = ["--default-artifact-root", (store / "artifacts").resolve().as_uri()]
    place += ["--host", "127.0.0.1", "--port", str(free), "--workers", "1"]
    return [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database(store), *place]
