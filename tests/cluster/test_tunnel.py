"""`nowt ui --cluster`: a tunnel to MLflow on a head. The head is a real sshd on this machine; a small HTTP server
takes the place of MLflow."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

import pytest

from nowt.cli.main import main
from tests.support.tracking_server import free_port, listening, wait_until

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

PRIVILEGE_SEPARATION_FOLDER = Path("/run/sshd")  # required by root's sshd; usually created at boot

pytestmark = pytest.mark.skipif(
    not (SSHD and shutil.which("ssh")), reason="needs sshd and ssh (Debian: openssh-server)"
)

CONFIG = """
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
"""


@dataclass(frozen=True)
class Head:
    """The ssh port of a head, the folder of its cluster file, and the port of its HTTP server."""

    port: int
    folder: Path
    page: int

    def file(self, *changes: tuple[str, str]) -> str:
        """Write the cluster file with changes and return its path."""
        user = pwd.getpwuid(os.getuid()).pw_name
        text = (
            "cluster_name: nowt\nprovider: {type: local, head_ip: 127.0.0.1, worker_ips: []}\n"
            f"auth: {{ssh_user: {user}, ssh_private_key: {self.folder / 'key'}}}\n"
        )
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = self.folder / "cluster.yaml"
        path.write_text(text)
        return str(path)


@contextmanager
def page() -> Iterator[int]:
    """An HTTP server that answers MLflow's health check; its port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"OK {self.path}".encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def privilege_separation_folder() -> Iterator[None]:
    """Create sshd's privilege separation folder for root if this machine has never started sshd."""
    missing = os.getuid() == 0 and not PRIVILEGE_SEPARATION_FOLDER.exists()
    if missing:
        PRIVILEGE_SEPARATION_FOLDER.mkdir(mode=0o755)
    try:
        yield
    finally:
        if missing:
            PRIVILEGE_SEPARATION_FOLDER.rmdir()


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    folder, port = tmp_path_factory.mktemp("head"), free_port()
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "config").write_text(CONFIG.format(folder=folder))
    command = [str(SSHD), "-D", "-f", str(folder / "config"), "-p", str(port), "-E", str(folder / "log")]
    options = f"ssh -F none -p {port} -o UserKnownHostsFile={folder}/known_hosts"
    with (
        privilege_separation_folder(),
        page() as page_port,
        pytest.MonkeyPatch.context() as patch,
        subprocess.Popen(command) as server,
    ):
        patch.setenv("RSYNC_RSH", options)  # a port other than ssh's default
        try:
            wait_until(lambda: listening(port), 30, "sshd")
            yield Head(port, folder, page_port)
        finally:
            server.terminate()


def tunnels(port: int) -> list[int]:
    """The ssh processes that forward this port."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:  # the process has exited
            continue
        if command.startswith(b"ssh\0") and f"127.0.0.1:{port}:".encode() in command:
            found.append(int(process.name))
    return found


def handle_ctrl_c() -> None:
    """Restore the SIGINT handler: child processes of tests that run in the background would ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_mlflow_on_the_head_is_available_locally_until_the_command_ends(end: signal.Signals, head: Head) -> None:
    port, file = free_port(), head.file()
    argv = ["ui", "--cluster", file, "--port", str(port), "--head-port", str(head.page), "--store", "/srv/runs"]
    command = [sys.executable, "-m", "nowt", *argv]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=handle_ctrl_c
    ) as opened:
        assert opened.stdout and opened.stderr
        message = [opened.stdout.readline() for _ in range(2)]
        with urlopen(f"http://127.0.0.1:{port}/page", timeout=20) as reply:
            assert reply.read() == b"OK /page"
        assert listening(port) == {"0100007F"}  # only on 127.0.0.1
        opened.send_signal(end)
        errors = opened.stderr.read()
        code = opened.wait(60)
    assert f"MLflow is available at http://127.0.0.1:{port} while this command runs" in message[0]
    assert message[1] == f"user and password: ray exec {file} 'cat /srv/runs/keeper/credentials'\n"
    assert (code, errors) == (0 if end == signal.SIGINT else -signal.SIGKILL, "")
    wait_until(lambda: not tunnels(port) and not listening(port), 20, "the end of the tunnel")


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run `nowt ui`, which must fail, and return its one-line error."""
    capsys.readouterr()
    assert main(["ui", *argv]) == 2
    output = capsys.readouterr()
    assert output.out == "" and len(output.err.splitlines()) == 1
    return output.err


def test_each_obstacle_gives_a_one_line_error(head: Head, capsys: pytest.CaptureFixture[str]) -> None:
    port, closed, head_port = str(free_port()), free_port(), ["--head-port", str(head.page)]

    def message(*argv: str, changes: tuple[tuple[str, str], ...] = ()) -> str:
        return refused(["--cluster", head.file(*changes), "--port", port, *argv], capsys)

    assert f"MLflow does not answer at port {closed} of 127.0.0.1" in message("--head-port", str(closed))
    (head.folder / "other").write_text("no key")
    key = (("/key}", "/other}"),)
    assert "cannot reach the head 127.0.0.1: " in message(*head_port, changes=key)
    assert f"key {head.folder}/none does not exist" in message(*head_port, changes=(("/key}", "/none}"),))
    assert "has no auth.ssh_user: set it" in message(changes=(("ssh_user", "user"),))
    assert "has no auth.ssh_private_key" in message(changes=(("ssh_private_key", "key"),))
    assert "cannot reach the head 127.0.0.2: ssh: connect to host" in message(
        *head_port, changes=(("127.0.0.1", "127.0.0.2"),)
    )
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        line = refused(["--cluster", head.file(), "--port", taken], capsys)
    assert f"--port {taken} is in use on 127.0.0.1" in line and f"--port {int(taken) + 1}" in line
    assert "file none.yaml does not exist" in refused(["--cluster", "none.yaml"], capsys)
    assert "--head-port 1 needs --cluster" in refused(["--head-port", "1"], capsys)
    assert "--port is 0" in refused(["--cluster", head.file(), "--port", "0"], capsys)


def test_a_head_with_a_changed_host_key_is_refused(head: Head, capsys: pytest.CaptureFixture[str]) -> None:
    other = (head.folder / "key.pub").read_text().split()
    known = head.folder / "known_hosts"
    before = known.read_text() if known.exists() else ""
    known.write_text(f"[127.0.0.1]:{head.port} {other[0]} {other[1]}\n")
    argv = ["--cluster", head.file(), "--port", str(free_port()), "--head-port", str(head.page)]
    assert "cannot reach the head 127.0.0.1: Host key verification failed." in refused(argv, capsys)
    known.write_text(before)


def test_a_missing_ssh_is_reported(
    head: Head, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSYNC_RSH", "no-such-ssh")
    assert "no-such-ssh is not installed" in refused(["--cluster", head.file(), "--port", str(free_port())], capsys)
