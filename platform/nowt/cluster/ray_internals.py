"""Every private or undocumented part of Ray that nowt uses.

``tests/cluster/test_ray_internals.py`` has one test for each part. It fails, and names Ray's version, if an upgrade of
Ray moves or changes the part.
"""

import os
from collections.abc import Mapping
from typing import Any

# Settings of Ray Tune, as environment variables.
TUNE_SETTINGS = {
    # A reused actor whose last run ends slowly would silently fail the next run after 2 s: let it wait.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "86400",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

# Settings of Ray Train, as environment variables.
TRAIN_SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # each worker watches by itself, for EC2's notices too
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

# Seconds after which Ray ends a process if its server does not answer. The default of 60 is too short for a loaded
# machine.
SERVER_TIMEOUT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "600"}


def extend_server_timeout() -> None:
    """Set SERVER_TIMEOUT unless the user has set it. Call it when ray is imported: Ray reads the variable only once."""
    for name, value in SERVER_TIMEOUT.items():
        os.environ.setdefault(name, value)


def draining_nodes() -> Mapping[str, Any]:
    """Return the nodes that Ray will soon remove, by id. Ray has no public call for it."""
    from ray._private.state import state

    nodes: Mapping[str, Any] = state.get_draining_nodes()
    return nodes


def drain_node(node: str, reason: str, deadline: float) -> None:
    """Tell Ray that ``node`` will be preempted at ``deadline``, in seconds since 1970, as ``ray drain-node`` does."""
    from ray._private.worker import global_worker
    from ray.core.generated.autoscaler_pb2 import DRAIN_NODE_REASON_PREEMPTION

    global_worker.gcs_client.drain_node(node, DRAIN_NODE_REASON_PREEMPTION, reason, int(deadline * 1000))


def lost_to_preemption(error: Exception) -> bool:
    """Return whether a group of Ray Train workers failed because a node was preempted that Ray knew to be draining, or
    because its resources went away before it started."""
    import ray.train
    from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError

    if isinstance(error, ray.train.ControllerError):
        return isinstance(error.controller_failure, WorkerGroupStartupTimeoutError)
    failures = error.worker_failures.values() if isinstance(error, ray.train.WorkerGroupError) else ()
    causes = (getattr(failure, "health_check_failure", failure) for failure in failures)
    return any(isinstance(cause, ray.exceptions.RayActorError) and cause.preempted for cause in causes)


def validate_cluster_config(config: dict[str, Any]) -> None:
    """Check the content of a ``cluster.yaml`` as ``ray up`` does. Raises what Ray raises."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(config))


def find_vpcs(config: dict[str, Any]) -> set[str]:
    """Return the ids of the VPCs in which ``ray up`` would start the instances of a ``cluster.yaml``. Raises what Ray
    raises."""
    from ray.autoscaler._private.aws.config import _configure_subnet, _get_vpc_id_or_die, _resource
    from ray.autoscaler._private.util import prepare_config

    configured = _configure_subnet(prepare_config(config))
    subnets = {kind["node_config"]["SubnetIds"][0] for kind in configured["available_node_types"].values()}
    ec2 = _resource("ec2", configured)
    return {str(_get_vpc_id_or_die(ec2, subnet)) for subnet in subnets}


def ray_start_options() -> set[str]:
    """Return the names of the options of ``ray start``, without dashes."""
    from ray.scripts.scripts import start

    return {option.removeprefix("--") for parameter in start.params for option in parameter.opts}
