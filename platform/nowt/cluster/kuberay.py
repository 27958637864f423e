"""Checks of a RayCluster or RayJob that KubeRay's schemas do not make, without a Kubernetes cluster."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import yaml

from nowt.cluster.cluster_file import mapping
from nowt.cluster.ray_internals import ray_start_options
from nowt.core.errors import did_you_mean

API_GROUP = "ray.io/"

MODES = ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")

TOKEN_SINCE = (2, 52)  # first Ray version with tokens; the operator rejects older versions with a token

KINDS = ("RayCluster", "RayJob")


def is_kuberay(documents: list[Any]) -> bool:
    """Return whether the file is for KubeRay rather than for ``ray up``."""
    return any(str(mapping(document).get("apiVersion", "")).startswith(API_GROUP) for document in documents)


def kuberay_problems(documents: list[Any]) -> list[str]:
    """Return every mistake that can be found offline, one sentence each."""
    ray_documents = [mapping(d) for d in documents if str(mapping(d).get("apiVersion", "")).startswith(API_GROUP)]
    return [problem for document in ray_documents for problem in _document(document)]


def external_objects(documents: list[Any]) -> list[str]:
    """Return the objects that the file refers to but does not define, such as ``Secret x``: they must already exist."""
    defined = {(mapping(d).get("kind"), mapping(mapping(d).get("metadata")).get("name")) for d in documents}
    referenced = {pair for d in documents for pair in _references(d)}
    return sorted(f"{kind} {name}" for kind, name in referenced - defined)


def _document(document: dict[str, Any]) -> Iterator[str]:
    kind, spec = document.get("kind"), mapping(document.get("spec"))
    if kind not in KINDS:
        yield f"kind is {kind!r}: expected {' or '.join(KINDS)}"
        return
    if kind == "RayJob":
        yield from _job(spec)
    cluster = spec if kind == "RayCluster" else mapping(spec.get("rayClusterSpec"))
    yield from _version(cluster)
    yield from _groups(cluster)


def _job(spec: dict[str, Any]) -> Iterator[str]:
    mode = spec.get("submissionMode", MODES[0])
    if mode not in MODES:
        yield f"submissionMode is {mode!r}{did_you_mean(str(mode), MODES)}: it must be one of {', '.join(MODES)}"
    if spec.get("ttlSecondsAfterFinished") and not spec.get("shutdownAfterJobFinishes"):
        yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes: true; otherwise nothing is ever removed"
    try:
        environment = yaml.safe_load(spec.get("runtimeEnvYAML") or "{}")
    except yaml.YAMLError as error:
        yield f"runtimeEnvYAML is not valid YAML: {' '.join(str(error).split())}"
    else:
        if not isinstance(environment, dict):
            yield "runtimeEnvYAML is not a mapping: use keys such as `env_vars:`"


def _version(cluster: dict[str, Any]) -> Iterator[str]:
    ray_version = str(cluster.get("rayVersion", ""))
    if ray_version != version("ray"):
        yield f"rayVersion is {ray_version or 'missing'}: the image has the Ray of requirements.lock, {version('ray')}"
    if mapping(cluster.get("authOptions")).get("mode") != "token":
        yield "authOptions.mode must be token: without it, anyone who can reach a port can run code"
    elif _numbers(ray_version) < TOKEN_SINCE:
        yield f"authOptions.mode: token needs rayVersion 2.52.0 or newer, not {ray_version or 'none'}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _groups(cluster: dict[str, Any]) -> Iterator[str]:
    head = mapping(cluster.get("headGroupSpec"))
    for name, group in (("head", head), *((str(g.get("groupName")), g) for g in _workers(cluster))):
        yield from (f"group {name}: {problem}" for problem in _group(group))


def _workers(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [mapping(group) for group in cluster.get("workerGroupSpecs") or []]


def _group(group: dict[str, Any]) -> Iterator[str]:
    low, high = group.get("minReplicas", 0), group.get("maxReplicas", 2**31)
    if isinstance(low, int) and isinstance(high, int):
        if low > high:
            yield f"minReplicas is {low}, maxReplicas {high}: the operator rejects this"
        elif not low <= int(group.get("replicas", low) or 0) <= high:
            yield f"replicas is {group['replicas']}: it must be between minReplicas {low} and maxReplicas {high}"
    known = ray_start_options()
    for key in mapping(group.get("rayStartParams")):
        if key not in known:
            yield f"rayStartParams.{key} is not an option of `ray start`{did_you_mean(key, known)}"
    containers = mapping(mapping(mapping(group.get("template"))).get("spec")).get("containers") or []
    for container in containers:
        name, image = mapping(container).get("name"), mapping(container).get("image")
        if not image:
            yield f"container {name} has no image: build one with platform/clusters/kuberay/Dockerfile"


def _references(node: Any) -> Iterator[tuple[str, str]]:
    """Yield every secret, config map and volume claim that a part of the document refers to."""
    if isinstance(node, list):
        for entry in node:
            yield from _references(entry)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        inside = mapping(value)
        if key in ("secretKeyRef", "secretRef") or (key == "secret" and "secretName" in inside):
            yield "Secret", str(inside.get("name") or inside.get("secretName"))
        elif key in ("configMapKeyRef", "configMapRef", "configMap"):
            yield "ConfigMap", str(inside.get("name"))
        elif key == "persistentVolumeClaim":
            yield "PersistentVolumeClaim", str(inside.get("claimName"))
        yield from _references(value)
