"""The commands of docs/cluster.md, as a user runs them on the laptop."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hosts.hosts import ROOT, BackgroundCommand, CommandResult, Host

DASHBOARD = "http://127.0.0.1:8265"

PROJECT_FILES = (
    "platform",
    "searchspaces",
    "analysis",
    "pyproject.toml",
    "requirements.lock",
    "README.md",
    "LICENSE",
    "cluster.yaml",
)

TIMEOUT = 240  # seconds; most waits take about twenty on an idle machine


def copy_project(laptop: Host) -> None:
    """Copy the parts of the project that the cluster needs to ~/nowt on the laptop."""
    home = laptop.folder / "root" / "nowt"
    home.mkdir()
    for part in PROJECT_FILES:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, home / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, home / part)


def ssh(key: str) -> str:
    """The ssh command with a key and without host key verification."""
    return f"ssh -i {key} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR -o BatchMode=yes"


def user_environment() -> dict[str, str]:
    """The environment variables of a user on the laptop, with Ray's token authentication."""
    return {
        "PATH": f"{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": "/root/nowt/platform:/root/nowt",
        "PYTHONDONTWRITEBYTECODE": "1",
        "RAY_AUTH_MODE": "token",
    }


def run_command(laptop: Host, command: str, seconds: float = TIMEOUT) -> CommandResult:
    """Run a command in the project's folder; it may fail."""
    return laptop.run(f"cd ~/nowt && {command}", seconds, **user_environment())


def command_output(laptop: Host, command: str, seconds: float = TIMEOUT) -> str:
    """Return the output of a command in the project's folder, which must succeed."""
    return laptop.check_output(f"cd ~/nowt && {command}", seconds, **user_environment())


@contextmanager
def running(laptop: Host, command: str, name: str) -> Iterator[BackgroundCommand]:
    """Run a command in the background until the block ends; then end it the way closing its terminal does."""
    started = laptop.start(f"env -C /root/nowt {command}", name, **user_environment())
    try:
        yield started
    finally:
        started.end()


@contextmanager
def dashboard(laptop: Host, file: str) -> Iterator[None]:
    """The tunnel that ``ray dashboard`` opens."""
    with running(laptop, f"ray dashboard {file}", "dashboard") as tunnel:
        wait_for(lambda: http_status(laptop, DASHBOARD), tunnel)
        yield


def http_status(host: Host, address: str) -> str:
    """The HTTP status and body length of a URL, requested on ``host``; empty if there is no response."""
    code = "import sys, urllib.request as u; r = u.urlopen(sys.argv[1], timeout=10); print(r.status, len(r.read()))"
    result = host.run(f"python3 -c '{code}' {address}", **user_environment())
    return result.output.strip() if result.exit_code == 0 else ""


def post_json(laptop: Host, address: str, body: dict[str, Any], login: str = "") -> dict[str, Any]:
    """Post a JSON body and return the JSON response; ``login`` is USER:PASSWORD."""
    code = (
        "import base64, sys, urllib.request as u; "
        'h = {"Content-Type": "application/json"}; '
        "who = base64.b64encode(sys.argv[3].encode()).decode(); "
        'h.update({"Authorization": "Basic " + who} if who else {}); '
        "print(u.urlopen(u.Request(sys.argv[1], sys.argv[2].encode(), h), timeout=30).read().decode())"
    )
    command = f"python3 -c '{code}' {address} '{json.dumps(body)}' '{login}'"
    response = laptop.check_output(command, **user_environment())
    return dict(json.loads(response))


def wait_for(condition: Callable[[], Any], subject: BackgroundCommand | str, seconds: float = TIMEOUT) -> Any:
    """Wait until ``condition()`` is true and return its value. After ``seconds``, fail and report ``subject``."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, (
            f"timed out after {seconds} s: {subject if isinstance(subject, str) else subject.log.read_text()}"
        )
        time.sleep(0.5)
    return value
