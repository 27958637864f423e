"""An upgrade of Ray may move or change the private parts that nowt uses. Each test names the version and the part."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import ray

from nowt.cluster.ray_internals import SERVER_TIMEOUT, TRAIN_SETTINGS, TUNE_SETTINGS, ray_start_options

RAY = Path(ray.__file__).parent


def part(module: str, name: str) -> Any:
    """The named part of Ray. Fails if this version does not have it."""
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"Ray {ray.__version__} has no {module}.{name} ({error}): adapt nowt/cluster/ray_internals.py")


def check_parameters(function: Any, *expected: str) -> None:
    found = list(inspect.signature(function).parameters)[: len(expected)]
    changed = f"Ray {ray.__version__}: {function.__qualname__} has the parameters {found}, expected {expected}"
    assert found == list(expected), changed


@pytest.mark.parametrize(
    ("folder", "setting"), [*(("tune", name) for name in TUNE_SETTINGS), *(("train", name) for name in TRAIN_SETTINGS)]
)
def test_ray_reads_the_setting(folder: str, setting: str) -> None:
    folders = (RAY / name for name in (folder, "air", "_private", "train"))
    found = any(setting in path.read_text(errors="replace") for each in folders for path in each.rglob("*.py"))
    assert found, f"Ray {ray.__version__} no longer reads {setting}: adapt nowt/cluster/ray_internals.py"


def test_ray_reads_the_timeout_of_its_server() -> None:
    [setting] = SERVER_TIMEOUT
    name = setting.removeprefix("RAY_").encode()
    [library] = RAY.glob("_raylet*.so")
    assert name in library.read_bytes(), f"Ray {ray.__version__} no longer reads {setting}"


def test_ray_lists_draining_nodes() -> None:
    check_parameters(type(part("ray._private.state", "state")).get_draining_nodes, "self")


def test_ray_can_be_notified_that_a_node_will_be_preempted() -> None:
    assert part("ray.core.generated.autoscaler_pb2", "DRAIN_NODE_REASON_PREEMPTION") == 2
    assert part("ray._private.worker", "global_worker") is not None
    client = part("ray._raylet", "InnerGcsClient")  # to which global_worker.gcs_client delegates
    assert hasattr(client, "drain_node"), f"Ray {ray.__version__}: the GCS client has no drain_node"


def test_ray_train_reports_that_a_group_could_not_start() -> None:
    error = part("ray.train.v2._internal.exceptions", "WorkerGroupStartupTimeoutError")
    assert issubclass(error, Exception)
    check_parameters(part("ray.train", "ControllerError").__init__, "self", "controller_failure")


def test_ray_train_reports_the_loss_of_a_preempted_node() -> None:
    check_parameters(part("ray.train", "WorkerGroupError").__init__, "self", "error_message", "worker_failures")
    unhealthy = part("ray.train.v2._internal.exceptions", "WorkerHealthCheckFailedError")
    assert "health_check_failure" in inspect.getsource(unhealthy), f"Ray {ray.__version__}: {unhealthy} has changed"
    assert isinstance(part("ray.exceptions", "RayActorError").preempted, property)


def test_ray_validates_a_cluster_file() -> None:
    check_parameters(part("ray.autoscaler._private.util", "prepare_config"), "config")
    check_parameters(part("ray.autoscaler._private.util", "validate_config"), "config")


def test_ray_finds_the_network_of_a_cluster_on_aws() -> None:
    module = "ray.autoscaler._private.aws.config"
    check_parameters(part(module, "_configure_subnet"), "config")
    check_parameters(part(module, "_get_vpc_id_or_die"), "ec2", "subnet_id")
    check_parameters(part(module, "_resource"), "name", "config")


def test_ray_start_lists_its_options() -> None:
    assert {"head", "address", "num-cpus", "dashboard-host"} <= ray_start_options()
