"""A simulated AWS on 127.0.0.1 (moto's server), and simulated ssh and rsync that record their calls."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.support.tracking_server import free_port, listening, wait_until

ROOT = Path(__file__).parents[2]

IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"  # one that moto knows

BUCKET = "lab-images"

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}

SHIM = """#!{python}
import json, shutil, sys
with open({log!r}, "a") as file:
    file.write(json.dumps({{"tool": {tool!r}, "words": sys.argv[1:]}}) + "\\n")
for word in sys.argv[1:]:
    if "/ray-bootstrap-" in word:
        shutil.copy(word, {copy!r})
"""


@dataclass(frozen=True)
class Cloud:
    """The URL of the simulated AWS, the environment variables for it, and a folder for the test."""

    address: str
    environment: dict[str, str]
    folder: Path

    def client(self, service: str) -> Any:
        """A client of the simulated AWS."""
        import boto3

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.Session(region_name="us-west-2", **keys).client(service, endpoint_url=self.address)

    def cluster_file(self, *changes: tuple[str, str]) -> Path:
        """The repository's cluster.yaml with a bucket, an image that moto knows, and other changes."""
        text = (ROOT / "cluster.yaml").read_text()
        text = re.sub(r"resolve:ssm:\S+", IMAGE, text.replace("nowt-example", BUCKET))
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = self.folder / "cluster.yaml"
        path.write_text(text)
        return path

    def ray(self, *words: str) -> None:
        """Run a command of Ray in the folder of the repository, which the file's mounts need."""
        command = [sys.executable, "-m", "ray.scripts.scripts", *words]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def calls(self) -> list[dict[str, Any]]:
        """The calls of ssh and rsync, in order."""
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    def asked(self, action: str = "") -> list[dict[str, str]]:
        """The requests with this action (default: all), in order."""
        found = []
        for line in (self.folder / "requests").read_text().splitlines():
            entry = json.loads(line)
            body = base64.b64decode(entry["body"]).decode() if entry["body_encoded"] else entry["body"]
            found.append({name: values[0] for name, values in parse_qs(body).items()})
        return [request for request in found if action in ("", request.get("Action"))]


@contextmanager
def cloud(folder: Path) -> Iterator[Cloud]:
    """The simulated AWS with one bucket, stopped afterwards."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    recorder = {"MOTO_ENABLE_RECORDING": "1", "MOTO_RECORDER_FILEPATH": str(folder / "requests")}
    environment = {**os.environ, **recorder}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            address = _address(server)
            made = Cloud(address, {**os.environ, **_environment(folder, address)}, folder)
            place = {"LocationConstraint": "us-west-2"}
            made.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
            yield made
        finally:
            server.kill()


@contextmanager
def storage() -> Iterator[str]:
    """The URL of an empty simulated S3, stopped afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: listening(port), 120, "moto's S3")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stderr
    for line in server.stderr:
        if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", line):
            return found[1]
    raise AssertionError("moto's server did not start")


def _environment(folder: Path, address: str) -> dict[str, str]:
    tools, home = folder / "bin", folder / "home"
    tools.mkdir()
    home.mkdir()
    for tool in ("ssh", "rsync"):
        shim = tools / tool
        text = SHIM.format(python=sys.executable, log=str(folder / "calls"), tool=tool, copy=str(folder / "sent.yaml"))
        shim.write_text(text)
        shim.chmod(0o755)
    shutil.rmtree(folder / "temporary", ignore_errors=True)
    (folder / "temporary").mkdir()
    return {
        "HOME": str(home),
        "TMPDIR": str(folder / "temporary"),
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)]),
        "AWS_ENDPOINT_URL": address,
        **KEYS,
        "AWS_DEFAULT_REGION": "us-west-2",
    }
