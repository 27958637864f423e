"""A port scan of a host of the cluster from another host, without the token. Prints one JSON object.

Usage: port_scan.py HOST [PORT ...]. The object maps each port of HOST to its responses. A port without a listener is
"closed". Ray's ports are sent every gRPC call in the stubs of the installed Ray, and the response to each call is
reported. PORTs that do not belong to Ray are reported as "open".
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

# implemented in C++; not in the Python stubs
STREAMS = ("/ray.rpc.ObjectManagerService/Pull", "/ray.rpc.ObjectManagerService/Push")

GRPC = (6379, 6380, 6381, 6383, 10001)

WORKERS = range(20000, 21000)  # those that listen use gRPC

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


def open_ports(host: str, ports: Sequence[int]) -> list[int]:
    """The ports that accept connections."""
    with ThreadPoolExecutor(250) as pool:  # firewalled ports only time out
        found = pool.map(lambda port: is_open(host, port), ports)
    return [port for port, is_listening in zip(ports, found, strict=True) if is_listening]


def is_open(host: str, port: int) -> bool:
    """Whether the port accepts connections."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def calls(host: str, port: int, names: Iterable[str]) -> dict[str, str]:
    """The gRPC status of each call, with an empty message."""
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        return {name: _call(channel, name) for name in names}


def _call(channel: grpc.Channel, method: str) -> str:
    try:
        channel.unary_unary(method)(b"", timeout=10)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def fetch(host: str, port: int, page: str) -> str:
    """The HTTP status of a page; a POST request for the pages that start jobs or create environments."""
    body = b"{}" if "/api/job" in page or "runtime_env" in page else None
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{page}", body, timeout=10) as response:
            return str(response.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return str(error)


def scan(host: str, extra_ports: Iterable[int]) -> dict[str, dict[str, str]]:
    """The responses of all ports, by port and call. Of the workers' ports, only open ones are included."""
    fixed_ports, names = {*GRPC, *PAGES, *extra_ports}, (HEALTH, *methods(), *STREAMS)
    listening = open_ports(host, sorted(fixed_ports.union(WORKERS)))
    responses = {str(port): CLOSED for port in sorted(fixed_ports.difference(listening))}
    for port in listening:
        responses[str(port)] = port_responses(host, port, names)
    # workers that have exited during the scan
    exited = {str(port) for port in set(listening).intersection(WORKERS) if not is_open(host, port)}
    return {port: response for port, response in responses.items() if port not in exited}


def port_responses(host: str, port: int, names: Iterable[str]) -> dict[str, str]:
    """The responses of an open port."""
    if port in PAGES:
        return {PAGES[port]: fetch(host, port, PAGES[port])}
    return calls(host, port, names) if port in GRPC or port in WORKERS else OPEN


if __name__ == "__main__":
    print(json.dumps(scan(sys.argv[1], [int(port) for port in sys.argv[2:]])))
