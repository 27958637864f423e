"""``nowt serve``: a tracking server (MLflow's) for a store, on localhost only and protected by a password.

Its private folder ``keeper/`` in the store holds its database, its files, the key that signs sessions and the password
of its administrator. All are created by the first start. While the server runs, the runs of this store are delivered
to it; other stores can deliver theirs.
"""

import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from sysconfig import get_path
from threading import Event, Thread
from time import monotonic
from types import FrameType
from urllib.request import urlopen

from nowt.core.errors import AccessError, ConfigError, Echo, require
from nowt.core.subprocesses import end_with_parent, terminate_at_exit
from nowt.store.files import read_or_create_private, write_atomically
from nowt.store.layout import Store
from nowt.tracking.keeper_folder import keeper_folder

HOST = "127.0.0.1"

ADMIN = "admin"

SAFE_PATH = {"PYTHONSAFEPATH": "1"}  # no process of the server imports modules from its current folder

START_SECONDS = 180.0  # MLflow takes 10 to 40 s, longer on a busy machine

FOLLOW_SECONDS = 15.0  # between deliveries of the store's logs


@dataclass(frozen=True)
class TrackingServer:
    """A tracking server: its folder, its port and its database."""

    home: Path
    port: int
    backend: str  # URL of a database; empty: SQLite in its folder
    users: str = "auth"  # name of the files with its users and its settings of authentication

    @property
    def url(self) -> str:
        """The address on this machine."""
        return f"http://{HOST}:{self.port}"

    @property
    def credentials(self) -> Path:
        """The file with user and password, in the format of MLflow's ~/.mlflow/credentials."""
        return self.home / "credentials"

    def command(self) -> list[str]:
        """Return the command of MLflow's server, without secrets, to be run in its folder: MLflow would take some
        characters of a path in a URL for others."""
        options = {
            "--app-name": "basic-auth",
            "--backend-store-uri": self.backend or "sqlite:///mlflow.db",
            "--artifacts-destination": (self.home.resolve() / "artifacts").as_uri(),
            "--host": HOST,
            "--port": str(self.port),
            "--workers": "1",
            # uvicorn imports from the current folder unless another one is given
            "--uvicorn-opts": f"--log-level warning --app-dir {shlex.quote(get_path('stdlib'))}",
        }
        return [
            sys.executable,
            "-P",
            "-m",
            "mlflow",
            "server",
            *(word for option in options.items() for word in option),
        ]

    def environment(self) -> dict[str, str]:
        """Return the environment of MLflow's server, including its secrets, which the first start creates."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
            **SAFE_PATH,
            "MLFLOW_AUTH_CONFIG_PATH": str(self._auth_config().resolve()),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": read_or_create_private(self.home / "signing-key", secrets.token_hex(32)),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_LOGGING_LEVEL": "WARNING",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # otherwise it starts more processes, for language models
        }

    def password(self) -> str:
        """Return the administrator's password, created if there is none."""
        default = (
            f"[mlflow]\nmlflow_tracking_username = {ADMIN}\nmlflow_tracking_password = {secrets.token_urlsafe(24)}\n"
        )
        found = ConfigParser(interpolation=None)
        found.read_string(read_or_create_private(self.credentials, default))
        return found["mlflow"]["mlflow_tracking_password"]

    def _auth_config(self) -> Path:
        """MLflow's configuration of authentication: no access without a password, no permissions by default."""
        path = self.home / f"{self.users}.ini"
        settings = {
            "default_permission": "NO_PERMISSIONS",
            "database_uri": f"sqlite:///{self.users}.db",
            "admin_username": ADMIN,
            "admin_password": self.password(),
            "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
            "auth_cache_ttl_seconds": "300",  # checking a password takes 0.1 s; a changed one is forgotten at once
        }
        text = "[mlflow]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())
        write_atomically(path, text, durable=False, private=True)
        return path


def serve(store: Path, port: int, backend: str, echo: Echo) -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit code.

    Raises ConfigError for a port in use and for a database URL that is invalid or contains a password, OSError if the
    server does not start.
    """
    server = tracking_server(store, port, backend)
    first = not server.credentials.exists()
    try:
        with _sigterm_as_interrupt(), _started(server) as process:
            _print_instructions(server, first, echo)
            with _delivering(store, server, echo):
                code = process.wait()
    except KeyboardInterrupt:
        return 0
    raise AccessError(f"MLflow's server exited with code {code}; see {server.home}/server.log")


def tracking_server(store: Path, port: int, backend: str) -> TrackingServer:
    """Return the tracking server of ``store``, and create its folder. Raises ConfigError as ``serve`` does."""
    require(1 <= port <= 65535, f"--port is {port}: it must be from 1 to 65535")
    server = TrackingServer(Store(store).tracking_server, port, backend_url(backend) if backend else "")
    _check_free(port)
    keeper_folder(store)
    return server


def backend_url(url: str) -> str:
    """Return the URL of MLflow's database. Raises ConfigError if it is invalid or contains a password."""
    from nowt.core.urls import absolute_database_url, database_url

    parts = database_url(url, "--backend", "postgresql://USER@HOST/NAME")
    if parts.get_backend_name() == "postgresql":  # a database without encoding (SQL_ASCII) would return text as bytes
        parts = parts.update_query_dict({"client_encoding": "utf8"}) if "client_encoding" not in parts.query else parts
    return absolute_database_url(parts.render_as_string(hide_password=False))


def _check_free(port: int) -> None:
    # clients know the server by its port, so another free port is no substitute
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise ConfigError(f"--port {port} is in use on {HOST}: stop what listens there, or give another") from None


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, and Ctrl-C also in a background job, for which shells ignore it."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _started(server: TrackingServer) -> Iterator["subprocess.Popen[bytes]"]:
    """Start MLflow's server, wait until it answers, and end it and its children with the block.

    Raises OSError if it does not start.
    """
    log = server.home / "server.log"
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as out:
        process = subprocess.Popen(
            server.command(),
            env=server.environment(),
            cwd=server.home,
            stdout=out,
            stderr=out,
            start_new_session=True,  # this process passes Ctrl-C on
            umask=0o077,
            preexec_fn=end_with_parent,
        )
    with terminate_at_exit(process):
        # what the server needs later is imported while MLflow starts: Python ends by SIGINT, and not with exit code 0,
        # if Ctrl-C meets code that an import runs by exec
        import_module("nowt.tracking.delivery")
        deadline = monotonic() + START_SECONDS
        while not _is_ready(server.url):
            if process.poll() is not None or monotonic() > deadline:
                raise AccessError(f"MLflow's server did not start: {_last_line(log)} (see {log})")
        yield process


def _is_ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        Event().wait(0.3)
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")


def _print_instructions(server: TrackingServer, first: bool, echo: Echo) -> None:
    echo(f"MLflow is running at {server.url} (localhost only). Press Ctrl-C to stop.")
    if first and sys.stdout.isatty():  # a password must not end up in a log file
        echo(f"user {ADMIN}, password {server.password()} (shown only once)")
    echo(f"Clients need the credentials: install -D -m 600 {server.credentials} ~/.mlflow/credentials")
    echo(f"Other stores record here with NOWT_RECORD={server.url}. Runs in this store are uploaded automatically.")


@contextmanager
def _delivering(store: Path, server: TrackingServer, echo: Echo) -> Iterator[None]:
    """Deliver the runs of this store in the background."""
    from nowt.tracking.delivery import follow  # already imported

    os.environ |= {"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": server.password()}
    end = Event()
    Thread(target=follow, args=(store, server.url, echo, FOLLOW_SECONDS, end), daemon=True).start()
    try:
        yield
    finally:
        end.set()
