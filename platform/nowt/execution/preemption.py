"""Detects that the machine of a run is about to be preempted. A thread checks; the run reads a flag."""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

LOG = logging.getLogger("nowt.execution")

POLL_SECONDS = 2.0  # between two checks

CHECKPOINT_SECONDS = 15.0  # between two checkpoints on a machine that is about to be preempted


class PreemptionNotice:
    """Tracks whether one process of a run has been notified that its machine will be preempted."""

    def __init__(self) -> None:
        self.given = False
        self.saved = -math.inf

    def checkpoint_due(self) -> bool:
        """Return True at the first batch after the notice, and then every CHECKPOINT_SECONDS."""
        if not self.given or time.monotonic() < self.saved + CHECKPOINT_SECONDS:
            return False
        self.saved = time.monotonic()
        return True


@contextmanager
def watch_for_preemption(
    *sources: Callable[[], bool], on_notice: Callable[[], object] = lambda: None
) -> Iterator[PreemptionNotice]:
    """Poll every source. Once one returns True, call ``on_notice`` and stop polling. A source that fails is logged once
    and polled again."""
    notice, stop = PreemptionNotice(), Event()
    guarded = [_Guarded(source) for source in sources]

    def poll() -> None:
        while not any(source() for source in guarded):
            if stop.wait(POLL_SECONDS):
                return
        notice.given = True
        on_notice()

    thread = Thread(target=poll, name="preemption", daemon=True)
    if sources:
        thread.start()
    try:
        yield notice
    finally:
        stop.set()
        if sources:
            thread.join()


@dataclass
class _Guarded:
    """A source whose errors, bugs included, do not end the thread that polls it."""

    source: Callable[[], bool]
    failed: bool = False

    def __call__(self) -> bool:
        try:
            return self.source()
        except Exception:
            if not self.failed:
                LOG.exception("a preemption notice could not be read; it is tried again every %g s", POLL_SECONDS)
            self.failed = True
            return False


ENDPOINT = "http://169.254.169.254"

TOKEN_SECONDS = 21600

TIMEOUT = 1.0  # seconds; the service is on the machine itself

MACHINE = Path("/sys/class/dmi/id")

WARNING = 120.0  # seconds from the notice to the end


@dataclass
class InstanceMetadata:
    """The EC2 instance metadata service at ``host``: name or address, and port if it is not 80."""

    host: str
    token: str = ""

    def terminates_at(self) -> float | None:
        """Return when EC2 will reclaim this instance, in seconds since 1970. Return None if EC2 has not announced it,
        or if the service does not answer."""
        try:
            status, text = self._read_action()
        except (OSError, HTTPException):  # it is polled again
            return None
        return _time_of(text) if status == 200 else None

    def _read_action(self) -> tuple[int, str]:
        for _ in range(2):
            if not self.token:
                lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
                status, self.token = self._request("PUT", "/latest/api/token", lifetime)
                if status != 200:
                    self.token = ""
                    return status, ""
            token = {"X-aws-ec2-metadata-token": self.token}
            status, text = self._request("GET", "/latest/meta-data/spot/instance-action", token)
            if status != 401:
                break
            self.token = ""  # it has expired
        return status, text

    def _request(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        connection = HTTPConnection(self.host, timeout=TIMEOUT)  # never through a proxy
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()


def instance_metadata() -> InstanceMetadata | None:
    """Return this machine's metadata service; None if it is not an EC2 instance. AWS's own variables override this:
    AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_EC2_METADATA_DISABLED."""
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    endpoint = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", ENDPOINT if _on_ec2() else "")
    return InstanceMetadata(urlsplit(endpoint).netloc) if endpoint else None


def _on_ec2() -> bool:
    """Return whether this is an EC2 machine. Other clouds have other services at the same address, so the vendor is
    read first."""
    names = (MACHINE / name for name in ("sys_vendor", "bios_vendor", "bios_version"))
    return any("amazon" in name.read_text(errors="replace").lower() for name in names if name.is_file())


def _time_of(notice: str) -> float:
    """Return the time in ``{"action": "terminate", "time": "2026-01-01T00:02:00Z"}``. A notice without a time, as
    before an instance hibernates, counts as two minutes from now."""
    try:
        return datetime.fromisoformat(json.loads(notice)["time"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return time.time() + WARNING
