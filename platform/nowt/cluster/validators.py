"""Ray's own validators and botocore's model of EC2 over a cluster.yaml. They ask nobody."""

import copy
import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from typing import Any

from nowt.cluster.aws import botocore
from nowt.cluster.cluster_file import ClusterFile, mapping
from nowt.cluster.ray_internals import validate_cluster_config

NOT_EC2 = ("SubnetIds",)  # Ray turns it into one SubnetId

FILLED_IN = {"MinCount": 1, "MaxCount": 1}  # by Ray, at each launch


def ray_problems(cluster: ClusterFile) -> list[str]:
    """What Ray's ``prepare_config`` and ``validate_config`` refuse, as one sentence; empty where they pass."""
    import click
    from jsonschema import ValidationError

    try:
        with hushed():
            validate_cluster_config(_with_resources(cluster))
    except ValidationError as error:
        place = ".".join(str(part) for part in error.absolute_path)
        return [f"{place or cluster.path.name}: {error.message.splitlines()[0]}"]
    except (ValueError, TypeError, AttributeError, KeyError, NotImplementedError, click.ClickException) as error:
        return [f"Ray refuses {cluster.path.name}: {str(error).splitlines()[0] if str(error) else 'see ray up'}"]
    return []


@contextmanager
def hushed() -> Iterator[None]:
    """Without what Ray's launcher prints as it goes, such as warnings on docker, which is not used."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def _with_resources(cluster: ClusterFile) -> dict[str, Any]:
    """The file as Ray validates it: it first asks EC2 what each type has, where the file does not say."""
    given = copy.deepcopy(cluster.given)
    if cluster.kind == "aws":
        for kind in mapping(given.get("available_node_types")).values():
            if isinstance(kind, dict):
                kind.setdefault("resources", {})
    return given


def botocore_problems(cluster: ClusterFile) -> list[str]:
    """What botocore's model of RunInstances finds in each ``node_config``: misspelt keys, wrong types."""
    core, shape = botocore(), _run_instances()
    found = []
    for kind in cluster.types:
        asked = {k: v for k, v in cluster.node_config(kind).items() if k not in NOT_EC2}
        report = core.validate.ParamValidator().validate({**FILLED_IN, **asked}, shape)
        found += [f"node type {kind}: {line}" for line in _lines(report)]
    return found


@cache
def _run_instances() -> Any:
    """What EC2 takes to start machines; reading the whole of EC2 takes a second."""
    core = botocore()
    model = core.loaders.Loader().load_service_model("ec2", "service-2")
    return core.model.ServiceModel(model, "ec2").operation_model("RunInstances").input_shape


def _lines(report: Any) -> list[str]:
    return [line.strip() for line in report.generate_report().splitlines()] if report.has_errors() else []
