"""A Ray of two nodes on this machine, the second of which can be lost."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from leftovers import PATIENCE
from world import World


@contextmanager
def two_nodes(world: World) -> Iterator[tuple[World, int]]:
    """The same world whose commands use a Ray of two nodes, and the second node's raylet. In the end every resource of
    the nodes that are left must be free again."""
    script, environment = Path(__file__).with_name("two_nodes.py"), {**os.environ, **world.environment}
    process = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=world.folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        at = _answer(process)
        yield replace(world, environment={**world.environment, "RAY_ADDRESS": at["address"]}), at["raylet"]
        resources = _answer(process, "what is free?\n")
        assert resources["free"] == resources["whole"]
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()


def _answer(process: subprocess.Popen[str], question: str = "") -> Any:
    assert process.stdin and process.stdout
    if question:
        process.stdin.write(question)
        process.stdin.flush()
    return json.loads(process.stdout.readline())
