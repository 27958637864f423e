"""A cluster.yaml as data."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

COMMANDS = ("setup_commands", "head_setup_commands", "worker_setup_commands")


@dataclass(frozen=True)
class ClusterFile:
    """What a cluster.yaml says, as it stands there."""

    path: Path
    given: dict[str, Any]

    @property
    def name(self) -> str:
        """The cluster's name, which tags every machine of it."""
        return str(self.given.get("cluster_name", "default"))

    @property
    def provider(self) -> dict[str, Any]:
        """Where the machines come from."""
        return mapping(self.given.get("provider"))

    @property
    def kind(self) -> str:
        """``aws``, ``local``, or another of Ray's providers."""
        return str(self.provider.get("type", ""))

    @property
    def region(self) -> str:
        """AWS's region; empty where the file names none."""
        return str(self.provider.get("region") or "")

    @property
    def group(self) -> str:
        """The security group's name; empty where the file names none."""
        return str(mapping(self.provider.get("security_group")).get("GroupName") or "")

    @property
    def key_pair(self) -> str:
        """The key pair's name; empty where Ray is to choose one."""
        return str(mapping(self.provider.get("key_pair")).get("key_name") or "")

    @property
    def head_type(self) -> str:
        """The node type of the head."""
        return str(self.given.get("head_node_type", ""))

    @cached_property
    def types(self) -> dict[str, dict[str, Any]]:
        """Every node type by its name."""
        return {name: mapping(kind) for name, kind in mapping(self.given.get("available_node_types")).items()}

    def node_config(self, kind: str) -> dict[str, Any]:
        """What EC2 is asked for to get a machine of this type."""
        return mapping(self.types[kind].get("node_config"))

    def profile(self, kind: str) -> str:
        """The instance profile's name of a node type; empty where it has none."""
        return str(mapping(self.node_config(kind).get("IamInstanceProfile")).get("Name") or "")

    def commands(self, key: str) -> list[str]:
        """One of the lists of shell commands."""
        return [str(line) for line in self.given.get(key) or []]

    @cached_property
    def buckets(self) -> list[str]:
        """The buckets that the set-up commands name."""
        text = "\n".join(line for key in COMMANDS for line in self.commands(key))
        return sorted(set(re.findall(r"s3://([A-Za-z0-9.\-_]+)", text)))


def documents_of(path: Path) -> list[Any]:
    """The YAML documents in a file. Raises ValueError for one that is missing or no YAML."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}: name a cluster's file, such as cluster.yaml")
    try:
        return list(yaml.safe_load_all(path.read_text()))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from None


def mapping(value: Any) -> dict[str, Any]:
    """``value`` if it is a mapping, else an empty one; that it is none is told by Ray's own validator."""
    return value if isinstance(value, dict) else {}


def read_cluster(path: Path) -> ClusterFile:
    """The file at ``path``. Raises ValueError for one that is missing, no YAML, or no cluster's."""
    documents = documents_of(path)
    given = documents[0] if len(documents) == 1 else None
    if not isinstance(given, dict) or "type" not in mapping(given.get("provider")):
        raise ValueError(f"{path} has no provider.type: it is no file for `ray up`")
    return ClusterFile(path, given)
