"""What KubeRay's schemas miss in a RayCluster or RayJob, found without a Kubernetes."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import yaml

from nowt.cluster.cluster_file import mapping
from nowt.cluster.ray_internals import ray_start_options
from nowt.core.errors import nearest

GROUP = "ray.io/"

MODES = ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")

TOKEN_SINCE = (2, 52)  # the Ray that first knows tokens; the operator refuses an older one with them

KINDS = ("RayCluster", "RayJob")


def is_kuberay(documents: list[Any]) -> bool:
    """Whether a file is for KubeRay rather than for ``ray up``."""
    return any(str(mapping(document).get("apiVersion", "")).startswith(GROUP) for document in documents)


def kuberay_problems(documents: list[Any]) -> list[str]:
    """Every mistake that can be seen without asking anyone, a sentence each."""
    mine = [mapping(d) for d in documents if str(mapping(d).get("apiVersion", "")).startswith(GROUP)]
    return [problem for document in mine for problem in _document(document)]


def outside(documents: list[Any]) -> list[str]:
    """What a file names and does not hold itself, so that it must be there already: ``Secret x``, ..."""
    held = {(mapping(d).get("kind"), mapping(mapping(d).get("metadata")).get("name")) for d in documents}
    named = {pair for d in documents for pair in _named(d)}
    return sorted(f"{kind} {name}" for kind, name in named - held)


def _document(document: dict[str, Any]) -> Iterator[str]:
    kind, spec = document.get("kind"), mapping(document.get("spec"))
    if kind not in KINDS:
        yield f"kind is {kind!r}: these checks know {' and '.join(KINDS)}"
        return
    if kind == "RayJob":
        yield from _job(spec)
    cluster = spec if kind == "RayCluster" else mapping(spec.get("rayClusterSpec"))
    yield from _version(cluster)
    yield from _groups(cluster)


def _job(spec: dict[str, Any]) -> Iterator[str]:
    mode = spec.get("submissionMode", MODES[0])
    if mode not in MODES:
        yield f"submissionMode is {mode!r}{nearest(str(mode), MODES)}: it must be one of {', '.join(MODES)}"
    if spec.get("ttlSecondsAfterFinished") and not spec.get("shutdownAfterJobFinishes"):
        yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes: true, or nothing is ever removed"
    try:
        environment = yaml.safe_load(spec.get("runtimeEnvYAML") or "{}")
    except yaml.YAMLError as error:
        yield f"runtimeEnvYAML is no YAML: {' '.join(str(error).split())}"
    else:
        if not isinstance(environment, dict):
            yield "runtimeEnvYAML is no mapping: write `env_vars:` and the like"


def _version(cluster: dict[str, Any]) -> Iterator[str]:
    given = str(cluster.get("rayVersion", ""))
    if given != version("ray"):
        yield f"rayVersion is {given or 'missing'}: the image has requirements.lock's Ray, {version('ray')}"
    if mapping(cluster.get("authOptions")).get("mode") != "token":
        yield "authOptions.mode must be token: without it whoever reaches a port runs code"
    elif _numbers(given) < TOKEN_SINCE:
        yield f"authOptions.mode: token needs rayVersion 2.52.0 or newer, this is {given or 'none'}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _groups(cluster: dict[str, Any]) -> Iterator[str]:
    head = mapping(cluster.get("headGroupSpec"))
    for name, group in (("head", head), *((str(g.get("groupName")), g) for g in _workers(cluster))):
        yield from (f"group {name}: {problem}" for problem in _group(group))


def _workers(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [mapping(group) for group in cluster.get("workerGroupSpecs") or []]


def _group(group: dict[str, Any]) -> Iterator[str]:
    least, most = group.get("minReplicas", 0), group.get("maxReplicas", 2**31)
    if isinstance(least, int) and isinstance(most, int):
        if least > most:
            yield f"minReplicas is {least}, maxReplicas {most}: the operator refuses it"
        elif not least <= int(group.get("replicas", least) or 0) <= most:
            yield f"replicas is {group['replicas']}: it must lie between minReplicas {least} and maxReplicas {most}"
    known = ray_start_options()
    for key in mapping(group.get("rayStartParams")):
        if key not in known:
            yield f"rayStartParams.{key} is no option of `ray start`{nearest(key, known)}"
    containers = mapping(mapping(mapping(group.get("template"))).get("spec")).get("containers") or []
    for container in containers:
        name, image = mapping(container).get("name"), mapping(container).get("image")
        if not image:
            yield f"container {name} has no image: platform/clusters/kuberay/Dockerfile makes one"


def _named(thing: Any) -> Iterator[tuple[str, str]]:
    """Every secret, config map and claim that anything in ``thing`` names."""
    if isinstance(thing, list):
        for entry in thing:
            yield from _named(entry)
    if not isinstance(thing, dict):
        return
    for key, value in thing.items():
        inside = mapping(value)
        if key in ("secretKeyRef", "secretRef") or (key == "secret" and "secretName" in inside):
            yield "Secret", str(inside.get("name") or inside.get("secretName"))
        elif key in ("configMapKeyRef", "configMapRef", "configMap"):
            yield "ConfigMap", str(inside.get("name"))
        elif key == "persistentVolumeClaim":
            yield "PersistentVolumeClaim", str(inside.get("claimName"))
        yield from _named(value)
