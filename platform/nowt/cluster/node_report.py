"""The report of one node. Ray sends this file to the nodes by value, so it imports nothing from nowt."""

import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("nowt", "ray", "torch", "torchvision", "numpy", "optuna", "mlflow", "pillow")


def describe() -> dict[str, Any]:
    """Return versions, token problems, GPUs, free disk space and clock of this machine."""
    return {
        "versions": {"python": sys.version.split()[0], **{package: _version(package) for package in PACKAGES}},
        "token": _token(),
        "gpus": _gpus(),
        "free": shutil.disk_usage(Path.home()).free,
        "clock": time.time(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _token() -> str:
    """Return what is wrong with the node's token; empty if nothing is."""
    path = Path.home() / ".ray" / "auth_token"
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return "RAY_AUTH_MODE is not token"
    if not path.exists():
        return f"{path} does not exist"
    return f"others can read {path}" if path.stat().st_mode & 0o077 else ""


def _gpus() -> list[str]:
    """Return the name and driver of each GPU."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout.splitlines()
