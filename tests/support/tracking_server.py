"""A tracking server as a user starts it, and a network that loses answers."""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

START = 180  # seconds; MLflow takes 10 on a quiet machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Served:
    """``nowt serve`` for a store, as a process that can be killed and restarted."""

    store: Path
    backend: str
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[str] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def password(self) -> str:
        found = ConfigParser(interpolation=None)
        found.read(self.store / "keeper" / "credentials")
        return found["mlflow"]["mlflow_tracking_password"]

    def start(self) -> str:
        """Start it and wait until it is running; returns its output."""
        words = ["serve", "--store", str(self.store), "--port", str(self.port), "--backend", self.backend]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nowt", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        said = [self.process.stdout.readline() for _ in range(3)]
        assert "MLflow is running at" in said[0], said
        return "".join(said)

    def kill(self) -> str:
        """Kill MLflow's processes; returns the output of nowt."""
        assert self.process is not None and self.process.stdout is not None
        (server,) = children(self.process.pid)
        os.killpg(server, signal.SIGKILL)
        with self.process.stdout as said_last:
            said = said_last.read()
        self.process.wait(30)
        return said

    def interrupt(self) -> int:
        """Press Ctrl-C; returns the exit code."""
        assert self.process is not None and self.process.stdout is not None
        self.process.send_signal(signal.SIGINT)
        with self.process.stdout as said:
            said.read()
        return self.process.wait(60)


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def status(address: str, password: str = "", user: str = "admin") -> int:
    request = Request(address, headers=basic(user, password) if password else {})
    try:
        with urlopen(request, timeout=30) as reply:
            return int(reply.status)
    except HTTPError as error:
        error.close()
        return error.code


def posted(address: str, body: dict[str, Any], by: tuple[str, str]) -> dict[str, Any]:
    """POST ``body`` as user ``by``; returns the JSON of the answer."""
    headers = {"Content-Type": "application/json", **basic(*by)}
    with urlopen(Request(address, json.dumps(body).encode(), headers), timeout=30) as reply:
        return dict(json.loads(reply.read()))


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def listening(port: int) -> set[str]:
    """The addresses, in the format of /proc/net, on which ``port`` is open."""
    lines = [*Path("/proc/net/tcp").read_text().splitlines()[1:], *Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    places = [line.split()[1] for line in lines if line.split()[3] == "0A"]
    return {place.partition(":")[0] for place in places if int(place.partition(":")[2], 16) == port}


class LosingProxy(BaseHTTPRequestHandler):
    """Forwards every request to ``port`` and loses the answer to each ``every``-th write; subclasses set both."""

    port: int
    every: int
    writes = 0

    def do_GET(self) -> None:
        self.pass_on()

    def do_POST(self) -> None:
        self.pass_on()

    def do_PUT(self) -> None:
        self.pass_on()

    def pass_on(self) -> None:
        answer, data = self.forwarded()
        if self.loses_answer():
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def forwarded(self) -> tuple[http.client.HTTPResponse, bytes]:
        """The server's answer to this request, and its body."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        there = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        there.request(self.command, self.path, body, dict(self.headers))
        answer = there.getresponse()
        data = answer.read()
        there.close()
        return answer, data

    def loses_answer(self) -> bool:
        """Count a write; whether its answer is lost."""
        if self.command == "GET" or "search" in self.path:
            return False
        kind = type(self)  # each request has a handler of its own
        kind.writes += 1
        return kind.writes % self.every == 0

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def losing_answers(port: int, every: int) -> Iterator[str]:
    """The URL of a proxy for ``port`` that forwards every request and loses the answer to each ``every``-th write."""

    class Proxy(LosingProxy):
        pass

    Proxy.port, Proxy.every = port, every
    network = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = Thread(target=network.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{network.server_address[1]}"
    finally:
        network.shutdown()
        network.server_close()
        thread.join()


def wait_until(true: Any, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)
