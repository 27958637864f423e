"""A local Ray cluster whose nodes are added and drained by commands, as a separate process.

Each command is a line of JSON on standard input, and is answered by one. The first node is the cluster's head, without
CPUs. All nodes are stopped at the end of the input.
"""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster


def main() -> None:
    """Handle ``add`` (a node with CPUs and environment variables) and ``drain`` (Ray's ``drain-node``)."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    print(json.dumps({"address": cluster.address}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = _add(cluster, **request["add"]) if "add" in request else _drain(cluster, request["drain"])
        print(json.dumps(answer), flush=True)
    cluster.shutdown()


def _add(cluster: Cluster, cores: int, environment: dict[str, str]) -> dict[str, Any]:
    node = cluster.add_node(num_cpus=cores, env_vars=environment)
    raylet = node.all_processes["raylet"][0].process
    # until its parent waits for it, a dead raylet is a zombie, which the node's workers regard as alive
    threading.Thread(target=raylet.wait, daemon=True).start()
    return {"node": node.node_id, "raylet": raylet.pid}


def _drain(cluster: Cluster, node: str) -> dict[str, Any]:
    ray_command = str(Path(sys.executable).with_name("ray"))
    reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot interruption"]
    where = ["--address", cluster.address, "--node-id", node]
    subprocess.run([ray_command, "drain-node", *where, *reason, "--deadline-remaining-seconds", "120"], check=True)
    return {"drained": node}


if __name__ == "__main__":
    main()
