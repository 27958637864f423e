"""Validates a cluster.yaml offline with Ray's validators and botocore's model of EC2."""

import copy
import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from typing import Any

from nowt.cluster.aws import botocore
from nowt.cluster.cluster_file import ClusterFile, mapping
from nowt.cluster.ray_internals import validate_cluster_config

RAY_ONLY_KEYS = ("SubnetIds",)  # Ray replaces it by one SubnetId

FILLED_IN = {"MinCount": 1, "MaxCount": 1}  # by Ray at each launch


def ray_problems(cluster: ClusterFile) -> list[str]:
    """Return what Ray's validation rejects, as one sentence; empty if it passes."""
    import click
    from jsonschema import ValidationError

    try:
        with silence_ray():
            validate_cluster_config(_with_resources(cluster))
    except ValidationError as error:
        place = ".".join(str(part) for part in error.absolute_path)
        return [f"{place or cluster.path.name}: {error.message.splitlines()[0]}"]
    except (ValueError, TypeError, AttributeError, KeyError, NotImplementedError, click.ClickException) as error:
        return [f"Ray rejects {cluster.path.name}: {str(error).splitlines()[0] if str(error) else 'see ray up'}"]
    return []


@contextmanager
def silence_ray() -> Iterator[None]:
    """Suppress what Ray's launcher prints, such as warnings about docker, which nowt does not use."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def _with_resources(cluster: ClusterFile) -> dict[str, Any]:
    """Return the file as Ray validates it. Ray asks EC2 for resources that the file does not state."""
    config = copy.deepcopy(cluster.config)
    if cluster.provider_type == "aws":
        for kind in mapping(config.get("available_node_types")).values():
            if isinstance(kind, dict):
                kind.setdefault("resources", {})
    return config


def botocore_problems(cluster: ClusterFile) -> list[str]:
    """Return misspelled keys and wrong types in each ``node_config``, found by botocore's model of RunInstances."""
    core, shape = botocore(), _run_instances()
    found = []
    for kind in cluster.node_types:
        parameters = {k: v for k, v in cluster.node_config(kind).items() if k not in RAY_ONLY_KEYS}
        report = core.validate.ParamValidator().validate({**FILLED_IN, **parameters}, shape)
        found += [f"node type {kind}: {line}" for line in _lines(report)]
    return found


@cache
def _run_instances() -> Any:
    """Return the input of EC2's RunInstances, cached because loading the model of EC2 takes a second."""
    core = botocore()
    model = core.loaders.Loader().load_service_model("ec2", "service-2")
    return core.model.ServiceModel(model, "ec2").operation_model("RunInstances").input_shape


def _lines(report: Any) -> list[str]:
    return [line.strip() for line in report.generate_report().splitlines()] if report.has_errors() else []
