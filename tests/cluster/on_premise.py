"""The shipped on-premise file with the lines that a user edits, on a laptop that has the project."""

import re
import shutil
from pathlib import Path

from hosts import ROOT, Host

PARTS = ("platform", "searchspaces", "analysis", "pyproject.toml", "requirements.lock", "README.md", "LICENSE")
FILE = "platform/clusters/on_premise/cluster.yaml"

# Ray finds out in seconds, not in a minute, that a host is gone; and enters one in vain for one minute, not for 15
SOONER = (
    "RAY_health_check_initial_delay_ms=2000 RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=3000 "
    "RAY_health_check_failure_threshold=4 AUTOSCALER_NODE_START_WAIT_S=60 ray start --head"
)
# so that two workers of a run need two hosts, and one host may be lost
ONE_CORE = "ray start --num-cpus=1 "


def lay_out(laptop: Host) -> None:
    """The project in ~/nowt of the laptop, its on-premise file edited, and the cluster's token made."""
    home = laptop.folder / "root" / "nowt"
    ignored = shutil.ignore_patterns("__pycache__")
    home.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, home / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, home / part)
    (home / FILE).write_text(edited((home / FILE).read_text()))
    laptop.do("ray get-auth-token --generate > /dev/null; chmod 600 ~/.ray/auth_token", **settings())


def edited(text: str) -> str:
    """The file for these hosts: who enters them, one core each, and less patience. Its addresses are theirs."""
    text = once(text, "ssh_user: ubuntu", "ssh_user: root")
    text = once(text, "ray start --head", SOONER)
    assert text.count("    ray start ") == 1 and text.count(" ray start --head") == 1
    return re.sub(r"\bray start (?=--)", ONE_CORE, text)


def once(text: str, old: str, new: str) -> str:
    """``text`` with its only ``old`` replaced."""
    assert text.count(old) == 1, f"{text.count(old)} times {old!r}"
    return text.replace(old, new)


def settings() -> dict[str, str]:
    """What a user of the laptop has in the environment: nowt's own, and Ray's token mode."""
    import sys

    return {
        "PATH": f"{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": "/root/nowt/platform:/root/nowt",
        "PYTHONDONTWRITEBYTECODE": "1",
        "RAY_AUTH_MODE": "token",
    }
