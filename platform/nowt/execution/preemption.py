"""Listens whether the machine that a run is on is soon to be taken away, beside the run, which reads a flag."""

import json
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

SECONDS = 2.0  # between two looks

AGAIN = 15.0  # seconds between two checkpoints on a machine that is soon to go


class Notices:
    """What was heard so far, in one process of a run."""

    def __init__(self) -> None:
        self.given = False
        self.saved = -math.inf

    def due(self) -> bool:
        """Whether the run is to write a checkpoint: at the first batch after the notice, and every AGAIN seconds
        then, until the machine goes."""
        if not self.given or time.monotonic() < self.saved + AGAIN:
            return False
        self.saved = time.monotonic()
        return True


@contextmanager
def listening(*sources: Callable[[], bool], tell: Callable[[], object] = lambda: None) -> Iterator[Notices]:
    """Ask every source each SECONDS whether the machine is to go. Once one says so, tell it on, and ask no more."""
    notices, over = Notices(), Event()

    def listen() -> None:
        while not any(source() for source in sources):
            if over.wait(SECONDS):
                return
        notices.given = True
        tell()

    thread = Thread(target=listen, name="notices", daemon=True)
    if sources:
        thread.start()
    try:
        yield notices
    finally:
        over.set()
        if sources:
            thread.join()


ENDPOINT = "http://169.254.169.254"

TOKEN_SECONDS = 21600

PATIENCE = 1.0  # seconds; the service is on the machine itself

MACHINE = Path("/sys/class/dmi/id")

WARNING = 120.0  # seconds from the notice to the end


@dataclass
class Metadata:
    """The machine's own metadata service, at ``host``: name or address, and port where it is not 80."""

    host: str
    token: str = ""

    def ends_at(self) -> float | None:
        """When EC2 takes the machine, seconds since 1970; None where it has not said that it does, or says nothing."""
        try:
            status, text = self._ask()
        except (OSError, HTTPException):  # it is asked again
            return None
        return _time_of(text) if status == 200 else None

    def _ask(self) -> tuple[int, str]:
        for _ in range(2):
            if not self.token:
                lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
                status, self.token = self._answer("PUT", "/latest/api/token", lifetime)
                if status != 200:
                    self.token = ""
                    return status, ""
            token = {"X-aws-ec2-metadata-token": self.token}
            status, text = self._answer("GET", "/latest/meta-data/spot/instance-action", token)
            if status != 401:
                break
            self.token = ""  # it is too old
        return status, text

    def _answer(self, verb: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        connection = HTTPConnection(self.host, timeout=PATIENCE)  # by no proxy
        try:
            connection.request(verb, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()


def metadata() -> Metadata | None:
    """This machine's metadata service; None where it is no machine of EC2's. AWS's own variables say otherwise:
    AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_EC2_METADATA_DISABLED."""
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    endpoint = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", ENDPOINT if _on_ec2() else "")
    return Metadata(urlsplit(endpoint).netloc) if endpoint else None


def _on_ec2() -> bool:
    """Other clouds have other services at the same address, so the machine's maker is asked first."""
    names = (MACHINE / name for name in ("sys_vendor", "bios_vendor", "bios_version"))
    return any("amazon" in name.read_text(errors="replace").lower() for name in names if name.is_file())


def _time_of(notice: str) -> float:
    """The time in ``{"action": "terminate", "time": "2026-01-01T00:02:00Z"}``; two minutes from now where there is
    none, as before a machine hibernates."""
    try:
        return datetime.fromisoformat(json.loads(notice)["time"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return time.time() + WARNING
