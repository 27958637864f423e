"""A Ray of two nodes on this machine, as a process of its own: says where it is, waits for a line, says what is free,
and takes both nodes down.

The first node has one core and the cluster's head, the second one core and can be lost.
"""

import json
import sys
import threading
import time

import ray
from ray.cluster_utils import Cluster

PATIENCE = 30.0  # seconds


def main() -> None:
    """Say address and the second node's raylet; after a line of input, the resources that nobody gave back."""
    answers, sys.stdout = sys.stdout, sys.stderr  # Ray tells a driver of lost nodes by print
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    # as long as there is no other node to join: one that joins a lost node ends with it
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    second = cluster.add_node(num_cpus=1)
    raylet = second.all_processes["raylet"][0].process
    # a node's workers take a raylet for alive as long as nobody has asked how it ended
    threading.Thread(target=raylet.wait, daemon=True).start()
    print(json.dumps({"address": cluster.address, "raylet": raylet.pid}), file=answers, flush=True)
    sys.stdin.readline()
    print(json.dumps(_resources()), file=answers, flush=True)
    ray.shutdown()
    cluster.shutdown()


def _resources() -> dict[str, dict[str, float]]:
    """All resources, and those that are free: Ray hears of what was given back by and by."""
    end = time.monotonic() + PATIENCE
    while True:
        whole, free = ray.cluster_resources(), ray.available_resources()
        if whole == free or time.monotonic() > end:
            return {"whole": whole, "free": free}
        time.sleep(0.5)


if __name__ == "__main__":
    main()
