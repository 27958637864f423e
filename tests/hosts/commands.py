"""What a user types on the laptop, in the words of docs/cluster.md."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hosts.hosts import ROOT, Host, Said, Started

DASHBOARD = "http://127.0.0.1:8265"

PARTS = (
    "platform",
    "searchspaces",
    "analysis",
    "pyproject.toml",
    "requirements.lock",
    "README.md",
    "LICENSE",
    "cluster.yaml",
)

PATIENCE = 240  # seconds for what takes some twenty on an idle machine


def copy_project(laptop: Host) -> None:
    """What of the project goes to the cluster, in ~/nowt of the laptop."""
    home = laptop.folder / "root" / "nowt"
    home.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, home / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, home / part)


def ssh(key: str) -> str:
    """ssh with a key, to a host that was never seen before."""
    return f"ssh -i {key} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR -o BatchMode=yes"


def settings() -> dict[str, str]:
    """What a user of the laptop has in the environment: nowt's own, and Ray's token mode."""
    return {
        "PATH": f"{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": "/root/nowt/platform:/root/nowt",
        "PYTHONDONTWRITEBYTECODE": "1",
        "RAY_AUTH_MODE": "token",
    }


def typed(laptop: Host, command: str, seconds: float = PATIENCE) -> Said:
    """A command in the project's folder."""
    return laptop.run(f"cd ~/nowt && {command}", seconds, **settings())


def done(laptop: Host, command: str, seconds: float = PATIENCE) -> str:
    """What a command in the project's folder says; it must succeed."""
    return laptop.do(f"cd ~/nowt && {command}", seconds, **settings())


@contextmanager
def going_on(laptop: Host, command: str, name: str) -> Iterator[Started]:
    """A command that is ended, as a closed terminal would end it, after the block."""
    started = laptop.start(f"env -C /root/nowt {command}", name, **settings())
    try:
        yield started
    finally:
        started.end()


@contextmanager
def dashboard(laptop: Host, file: str) -> Iterator[None]:
    """The tunnel of ``ray dashboard``."""
    with going_on(laptop, f"ray dashboard {file}", "dashboard") as tunnel:
        wait(lambda: reached(laptop, DASHBOARD), tunnel)
        yield


def reached(laptop: Host, address: str) -> str:
    """The HTTP status and the body's length at an address, as seen from the laptop; empty where nothing answers."""
    code = "import sys, urllib.request as u; r = u.urlopen(sys.argv[1], timeout=10); print(r.status, len(r.read()))"
    said = laptop.run(f"python3 -c '{code}' {address}", **settings())
    return said.text.strip() if said.code == 0 else ""


def posted(laptop: Host, address: str, body: dict[str, Any], login: str = "") -> dict[str, Any]:
    """The JSON that answers a JSON; ``login`` is USER:PASSWORD."""
    code = (
        "import base64, sys, urllib.request as u; "
        'h = {"Content-Type": "application/json"}; '
        "who = base64.b64encode(sys.argv[3].encode()).decode(); "
        'h.update({"Authorization": "Basic " + who} if who else {}); '
        "print(u.urlopen(u.Request(sys.argv[1], sys.argv[2].encode(), h), timeout=30).read().decode())"
    )
    answer = laptop.do(f"python3 -c '{code}' {address} '{json.dumps(body)}' '{login}'", **settings())
    return dict(json.loads(answer))


def wait(true: Callable[[], Any], of: Started | str, seconds: float = PATIENCE) -> Any:
    """What ``true()`` gives once it is true; fails with what ``of`` says after ``seconds``."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, (
            f"waited {seconds} s in vain: {of if isinstance(of, str) else of.log.read_text()}"
        )
        time.sleep(0.5)
    return found
