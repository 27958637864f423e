"""A Ray on this machine whose nodes come and go, as a process of its own: does what it is told, a JSON line each time,
and answers with one. Its first node is the cluster's head, with no core. In the end it takes all nodes down."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster


def main() -> None:
    """``add``: a node with so many cores, in an environment; ``drain``: Ray's own command for a node that is to go."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    print(json.dumps({"address": cluster.address}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = _add(cluster, **asked["add"]) if "add" in asked else _drain(cluster, asked["drain"])
        print(json.dumps(answer), flush=True)
    cluster.shutdown()


def _add(cluster: Cluster, cores: int, environment: dict[str, str]) -> dict[str, Any]:
    node = cluster.add_node(num_cpus=cores, env_vars=environment)
    raylet = node.all_processes["raylet"][0].process
    # a node's workers take a raylet for alive as long as nobody has asked how it ended
    threading.Thread(target=raylet.wait, daemon=True).start()
    return {"node": node.node_id, "raylet": raylet.pid}


def _drain(cluster: Cluster, node: str) -> dict[str, Any]:
    ray_command = str(Path(sys.executable).with_name("ray"))
    reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "taken back"]
    where = ["--address", cluster.address, "--node-id", node]
    subprocess.run([ray_command, "drain-node", *where, *reason, "--deadline-remaining-seconds", "120"], check=True)
    return {"drained": node}


if __name__ == "__main__":
    main()
