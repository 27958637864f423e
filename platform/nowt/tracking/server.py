"""``nowt serve``: MLflow's server on a store, for this machine only and behind a password.

It has a folder of its own in the store, ``keeper/``, closed to others: database, files, the key that signs sessions,
and the password of its administrator, all made at the first start. What the store's logs say is delivered to it, at its
start and as long as it runs, whoever wrote them; so is what other stores deliver.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from types import FrameType
from urllib.request import urlopen

from nowt.core.errors import ConfigError, require
from nowt.core.subprocesses import end_with_us, ended_together
from nowt.store.files import private_folder, read_or_create_private, write_atomically
from nowt.store.layout import Store

HOST = "127.0.0.1"

ADMIN = "admin"

START_SECONDS = 180.0  # MLflow takes 10 to 40 s, longer on a busy machine

FOLLOW_SECONDS = 15.0  # between looks at the store's logs


@dataclass(frozen=True)
class TrackingServer:
    """One record keeper: its folder, where it listens, and its database."""

    home: Path
    port: int
    backend: str  # URL of a database; empty: sqlite in its folder

    @property
    def url(self) -> str:
        """Its address on this machine."""
        return f"http://{HOST}:{self.port}"

    @property
    def credentials(self) -> Path:
        """User and password, in the form of MLflow's ~/.mlflow/credentials."""
        return self.home / "credentials"

    def command(self) -> list[str]:
        """The command of MLflow's server. No secret is in it."""
        options = {
            "--app-name": "basic-auth",
            "--backend-store-uri": self.backend or f"sqlite:///{self.home.resolve()}/mlflow.db",
            "--artifacts-destination": str(self.home.resolve() / "artifacts"),
            "--host": HOST,
            "--port": str(self.port),
            "--workers": "1",
            "--uvicorn-opts": "--log-level warning",
        }
        return [sys.executable, "-m", "mlflow", "server", *(word for option in options.items() for word in option)]

    def environment(self) -> dict[str, str]:
        """What MLflow reads besides; made at the first start."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
            "MLFLOW_AUTH_CONFIG_PATH": str(self._rules()),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": read_or_create_private(self.home / "signing-key", secrets.token_hex(32)),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_LOGGING_LEVEL": "WARNING",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # it would start more processes, for language models
        }

    def password(self) -> str:
        """The administrator's, made where there is none."""
        made = f"[mlflow]\nmlflow_tracking_username = {ADMIN}\nmlflow_tracking_password = {secrets.token_urlsafe(24)}\n"
        found = ConfigParser(interpolation=None)
        found.read_string(read_or_create_private(self.credentials, made))
        return found["mlflow"]["mlflow_tracking_password"]

    def _rules(self) -> Path:
        """MLflow's authentication: nobody may do anything without a password, and users only what they are given."""
        path = self.home / "auth.ini"
        database = str(self.home.resolve() / "auth.db").replace("%", "%%")
        rules = {
            "default_permission": "NO_PERMISSIONS",
            "database_uri": f"sqlite:///{database}",
            "admin_username": ADMIN,
            "admin_password": self.password(),
            "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
            "auth_cache_ttl_seconds": "300",  # a password's hash takes 0.1 s; a changed one is forgotten at once
        }
        text = "[mlflow]\n" + "".join(f"{name} = {value}\n" for name, value in rules.items())
        write_atomically(path, text, durable=False, private=True)
        return path


def serve(store: Path, port: int, backend: str, say: Callable[[str], None]) -> int:
    """Serve until Ctrl-C or SIGTERM; the exit code.

    Raises ConfigError for a port that is taken and for a database's URL that is none or names a password, OSError where
    the server does not start.
    """
    keeper = keeper_of(store, port, backend)
    first = not keeper.credentials.exists()
    try:
        with _terminable(), _started(keeper) as server:
            _tell(keeper, first, say)
            with _following(store, keeper, say):
                code = server.wait()
    except KeyboardInterrupt:
        return 0
    raise OSError(f"MLflow's server ended by itself ({code}); its last words are in {keeper.home}/server.log")


def keeper_of(store: Path, port: int, backend: str) -> TrackingServer:
    """The keeper of ``store``, its folder made. Raises ConfigError as ``serve`` does."""
    require(1 <= port <= 65535, f"--port is {port}: it must be from 1 to 65535")
    keeper = TrackingServer(Store(store).tracking_server, port, database_of(backend) if backend else "")
    _check_free(port)
    private_folder(keeper.home)
    return keeper


def database_of(url: str) -> str:
    """The URL of MLflow's database. Raises ConfigError for what is none or names a password."""
    from nowt.core.urls import database_url

    parts = database_url(url, "--backend", "postgresql://USER@HOST/NAME")
    if parts.get_backend_name() == "postgresql":  # from a database of no encoding (SQL_ASCII) text would come as bytes
        parts = parts.update_query_dict({"client_encoding": "utf8"}) if "client_encoding" not in parts.query else parts
    return parts.render_as_string(hide_password=False)


def _check_free(port: int) -> None:
    # those who deliver know the keeper by its port: it is this one or none
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise ConfigError(f"--port {port} is taken on {HOST}: end what listens there, or give another") from None


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does; and Ctrl-C does where a shell that put it into the background says not."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _started(keeper: TrackingServer) -> Iterator["subprocess.Popen[bytes]"]:
    """The server once it answers; it and its children end with the block. Raises OSError where it does not start."""
    log = keeper.home / "server.log"
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as out:
        server = subprocess.Popen(
            keeper.command(),
            env=keeper.environment(),
            stdout=out,
            stderr=out,
            start_new_session=True,  # Ctrl-C is ours to pass on
            umask=0o077,
            preexec_fn=end_with_us,
        )
    with ended_together(server):
        deadline = monotonic() + START_SECONDS
        while not _answers(keeper.url):
            if server.poll() is not None or monotonic() > deadline:
                raise OSError(f"MLflow's server did not start: {_last_words(log)} ({log} has more)")
        yield server


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        Event().wait(0.3)
        return False


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _tell(keeper: TrackingServer, first: bool, say: Callable[[str], None]) -> None:
    say(f"the record keeper answers at {keeper.url}, on this machine alone; Ctrl-C ends it")
    if first and sys.stdout.isatty():  # elsewhere it would stay in a log
        say(f"user {ADMIN}, password {keeper.password()}: shown this once")
    say(f"who records here needs user and password: install -D -m 600 {keeper.credentials} ~/.mlflow/credentials")
    say(f"then studies record here with NOWT_RECORD={keeper.url}; the runs of this store come by themselves")


@contextmanager
def _following(store: Path, keeper: TrackingServer, say: Callable[[str], None]) -> Iterator[None]:
    """The store's own logs are delivered, in the background."""
    from nowt.tracking.delivery import follow

    os.environ |= {"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": keeper.password()}
    end = Event()
    Thread(target=follow, args=(store, keeper.url, say, FOLLOW_SECONDS, end), daemon=True).start()
    try:
        yield
    finally:
        end.set()
