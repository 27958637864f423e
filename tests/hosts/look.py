"""What another host can do at the cluster's ports without the token; run on that host, says one JSON object.

look.py HOST [PORT ...]: each port of HOST, by number: "closed" where nothing answers, else what it answers to every
call that the installed Ray's own stubs name, whichever server it is for; of the PORTs that are none of Ray's, "open".
"""

import json
import re
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import ray.core.generated.gcs_service_pb2_grpc as stubs

HEALTH = "/grpc.health.v1.Health/Check"

STREAMS = ("/ray.rpc.ObjectManagerService/Pull", "/ray.rpc.ObjectManagerService/Push")  # in C++ alone

GRPC = (6379, 6380, 6381, 6383, 10001)

WORKERS = range(20000, 21000)  # which of them speak, speak gRPC

PAGES = {
    5000: "/",
    6382: "/get_or_create_runtime_env",
    6384: "/metrics",
    8265: "/api/version",
    44217: "/metrics",
    44227: "/metrics",
    52365: "/api/job_agent/jobs/",
}

CLOSED, OPEN = {"": "closed"}, {"": "open"}


def methods() -> list[str]:
    """Every gRPC method of the installed Ray."""
    files = Path(str(stubs.__file__)).parent.glob("*_pb2_grpc.py")
    return sorted({name for file in files for name in re.findall(r"'(/ray\.rpc\.[\w.]+/\w+)'", file.read_text())})


def opened(host: str, ports: Sequence[int]) -> list[int]:
    """The ports at which anything answers."""
    with ThreadPoolExecutor(250) as pool:  # a closed port answers by its silence
        found = pool.map(lambda port: is_open(host, port), ports)
    return [port for port, answers in zip(ports, found, strict=True) if answers]


def is_open(host: str, port: int) -> bool:
    """Whether anything answers."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def calls(host: str, port: int, names: Iterable[str]) -> dict[str, str]:
    """The gRPC status of each call with an empty message."""
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        return {name: _call(channel, name) for name in names}


def _call(channel: grpc.Channel, method: str) -> str:
    try:
        channel.unary_unary(method)(b"", timeout=10)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def fetch(host: str, port: int, page: str) -> str:
    """The HTTP status of a page; a POST where jobs are started or environments made."""
    body = b"{}" if "/api/job" in page or "runtime_env" in page else None
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{page}", body, timeout=10) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return str(error)


def look(host: str, further: Iterable[int]) -> dict[str, dict[str, str]]:
    """Every port's answers, by port and call; of the workers' ports, those that are open."""
    named, names = {*GRPC, *PAGES, *further}, (HEALTH, *methods(), *STREAMS)
    there = opened(host, sorted(named.union(WORKERS)))
    answers = {str(port): CLOSED for port in sorted(named.difference(there))}
    for port in there:
        answers[str(port)] = answered(host, port, names)
    ended = {str(port) for port in set(there).intersection(WORKERS) if not is_open(host, port)}  # meanwhile
    return {port: said for port, said in answers.items() if port not in ended}


def answered(host: str, port: int, names: Iterable[str]) -> dict[str, str]:
    """What an open port answers."""
    if port in PAGES:
        return {PAGES[port]: fetch(host, port, PAGES[port])}
    return calls(host, port, names) if port in GRPC or port in WORKERS else OPEN


if __name__ == "__main__":
    print(json.dumps(look(sys.argv[1], [int(word) for word in sys.argv[2:]])))
