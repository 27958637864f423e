"""Local Ray clusters for tests: two nodes, one of which can be lost, and nodes that join and leave."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.faults.cleanup_checks import TIMEOUT
from tests.faults.study_process import StudyProcess


@contextmanager
def two_node_cluster(study: StudyProcess) -> Iterator[tuple[StudyProcess, int]]:
    """Run the study's commands on a Ray cluster of two nodes; yields the study and the second node's raylet.

    At the end, all resources of the remaining nodes must be free again.
    """
    with _started("two_node_cluster.py", study) as process:
        answer = _response(process)
        yield replace(study, environment={**study.environment, "RAY_ADDRESS": answer["address"]}), answer["raylet"]
        resources = _response(process, "resources\n")
        assert resources["free"] == resources["total"]
        assert process.wait(TIMEOUT) == 0


@contextmanager
def _started(script: str, study: StudyProcess) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(script))],
        cwd=study.folder,
        env={**os.environ, **study.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(TIMEOUT)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def _response(process: subprocess.Popen[str], request_line: str = "") -> Any:
    assert process.stdin and process.stdout
    if request_line:
        process.stdin.write(request_line)
        process.stdin.flush()
    return json.loads(process.stdout.readline())


@dataclass
class ElasticCluster:
    """A Ray cluster whose nodes join and leave. The first node is the head, without CPUs."""

    process: subprocess.Popen[str]
    address: str = ""

    def add(self, cores: int, **environment: str) -> dict[str, Any]:
        """Add a node; return its id and its raylet's process id."""
        answer: dict[str, Any] = self._send({"add": {"cores": cores, "environment": environment}})
        return answer

    def drain(self, node: str) -> None:
        """Drain a node that is to be removed in two minutes, with ``ray drain-node``."""
        self._send({"drain": node})

    def _send(self, request: dict[str, Any]) -> Any:
        return _response(self.process, f"{json.dumps(request)}\n")


@contextmanager
def elastic_cluster(study: StudyProcess) -> Iterator[tuple[StudyProcess, ElasticCluster]]:
    """Run the study's commands on a Ray cluster whose nodes join and leave."""
    with _started("elastic_cluster.py", study) as process:
        nodes = ElasticCluster(process, _response(process)["address"])
        try:
            yield replace(study, environment={**study.environment, "RAY_ADDRESS": nodes.address}), nodes
        finally:
            assert process.stdin
            process.stdin.close()
            assert process.wait(TIMEOUT) == 0
