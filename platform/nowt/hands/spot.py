"""EC2's word that it takes a spot machine back, two minutes before it does.

Source: Amazon EC2 user guide, "Spot Instance interruption notices" and "Instance Metadata Service Version 2".
"""

import json
import os
import time
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

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
