"""What another host can do at the cluster's ports without the token; run on that host, says one JSON object.

look.py HEAD: each port of HEAD, by number: "closed" where nothing answers, else what it answers.
"""

import json
import socket
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import grpc

HEALTH = "/grpc.health.v1.Health/Check"
CALLS = {  # of each port that speaks gRPC: what a stranger would like to call
    6379: ("/ray.rpc.NodeInfoGcsService/GetAllNodeInfo", "/ray.rpc.InternalKVGcsService/InternalKVGet"),
    6380: ("/ray.rpc.NodeManagerService/GetNodeStats", "/ray.rpc.NodeManagerService/RequestWorkerLease"),
    6381: ("/ray.rpc.ObjectManagerService/Pull",),
    6383: ("/ray.rpc.ReporterService/GetTraceback",),
    10001: ("/ray.rpc.RayletDriver/ClusterInfo",),
}
PAGES = {
    5000: "/",
    6382: "/get_or_create_runtime_env",
    6384: "/metrics",
    8265: "/api/version",
    44217: "/metrics",
    44227: "/metrics",
    52365: "/api/job_agent/jobs/",
}


def is_open(host: str, port: int) -> bool:
    """Whether anything answers."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def call(host: str, port: int, method: str) -> str:
    """The gRPC status of a call with an empty message."""
    with grpc.insecure_channel(f"{host}:{port}") as channel:
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


def look(host: str) -> dict[str, dict[str, str]]:
    """Every port's answers, by port and call."""
    answers: dict[str, dict[str, str]] = {}
    ports = sorted({*CALLS, *PAGES})
    with ThreadPoolExecutor(len(ports)) as pool:  # a closed port answers by its silence
        opened = dict(zip(ports, pool.map(lambda port: is_open(host, port), ports), strict=True))
    for port in ports:
        if not opened[port]:
            answers[str(port)] = {"": "closed"}
        elif port in PAGES:
            answers[str(port)] = {PAGES[port]: fetch(host, port, PAGES[port])}
        else:
            answers[str(port)] = {method: call(host, port, method) for method in (HEALTH, *CALLS[port])}
    return answers


if __name__ == "__main__":
    print(json.dumps(look(sys.argv[1])))
