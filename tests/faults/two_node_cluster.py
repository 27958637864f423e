"""A local Ray cluster of two nodes, as a separate process.

It prints its address, waits for a line of input, prints which resources are free, and stops both nodes. The first node
is the head with one CPU; the second has one CPU and can be lost.
"""

import json
import sys
import threading
import time

import ray
from ray.cluster_utils import Cluster

TIMEOUT = 30.0  # seconds


def main() -> None:
    """Print the address and the second node's raylet; after a line of input, print all resources and the free ones."""
    answers, sys.stdout = sys.stdout, sys.stderr  # Ray prints messages about lost nodes
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    # before a second node exists: a driver that is connected to a lost node ends with it
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    second = cluster.add_node(num_cpus=1)
    raylet = second.all_processes["raylet"][0].process
    # until its parent waits for it, a dead raylet is a zombie, which the node's workers regard as alive
    threading.Thread(target=raylet.wait, daemon=True).start()
    print(json.dumps({"address": cluster.address, "raylet": raylet.pid}), file=answers, flush=True)
    sys.stdin.readline()
    print(json.dumps(_resources()), file=answers, flush=True)
    ray.shutdown()
    cluster.shutdown()


def _resources() -> dict[str, dict[str, float]]:
    """Return all resources and the free ones; Ray updates the free ones with a delay."""
    end = time.monotonic() + TIMEOUT
    while True:
        total, free = ray.cluster_resources(), ray.available_resources()
        if total == free or time.monotonic() > end:
            return {"total": total, "free": free}
        time.sleep(0.5)


if __name__ == "__main__":
    main()
