"""A Ray of two nodes on this machine, the second of which can be lost, and one whose nodes come and go."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.faults.leftovers import PATIENCE
from tests.faults.world import World


@contextmanager
def two_nodes(world: World) -> Iterator[tuple[World, int]]:
    """The same world whose commands use a Ray of two nodes, and the second node's raylet. In the end every resource of
    the nodes that are left must be free again."""
    with _started("two_nodes.py", world) as process:
        at = _answer(process)
        yield replace(world, environment={**world.environment, "RAY_ADDRESS": at["address"]}), at["raylet"]
        resources = _answer(process, "what is free?\n")
        assert resources["free"] == resources["whole"]
        assert process.wait(PATIENCE) == 0


@contextmanager
def _started(script: str, world: World) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(script))],
        cwd=world.folder,
        env={**os.environ, **world.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def _answer(process: subprocess.Popen[str], question: str = "") -> Any:
    assert process.stdin and process.stdout
    if question:
        process.stdin.write(question)
        process.stdin.flush()
    return json.loads(process.stdout.readline())


@dataclass
class Nodes:
    """A Ray whose nodes come and go; the first is the head, without a core."""

    process: subprocess.Popen[str]
    address: str = ""

    def add(self, cores: int, **environment: str) -> dict[str, Any]:
        """One more node; its id, and its raylet's process id."""
        answer: dict[str, Any] = self._tell({"add": {"cores": cores, "environment": environment}})
        return answer

    def drain(self, node: str) -> None:
        """Tell Ray that the node is to go in two minutes, as ``ray drain-node`` does."""
        self._tell({"drain": node})

    def _tell(self, what: dict[str, Any]) -> Any:
        return _answer(self.process, f"{json.dumps(what)}\n")


@contextmanager
def changing_nodes(world: World) -> Iterator[tuple[World, Nodes]]:
    """The same world whose commands use a Ray whose nodes come and go."""
    with _started("changing_nodes.py", world) as process:
        nodes = Nodes(process, _answer(process)["address"])
        try:
            yield replace(world, environment={**world.environment, "RAY_ADDRESS": nodes.address}), nodes
        finally:
            assert process.stdin
            process.stdin.close()
            assert process.wait(PATIENCE) == 0
