"""The contents of a cluster.yaml."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from nowt.core.errors import UserError

COMMANDS = ("setup_commands", "head_setup_commands", "worker_setup_commands")


@dataclass(frozen=True)
class ClusterFile:
    """A cluster.yaml, without Ray's defaults."""

    path: Path
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """The cluster name, with which every machine of the cluster is tagged."""
        return str(self.config.get("cluster_name", "default"))

    @property
    def provider(self) -> dict[str, Any]:
        """The ``provider`` section."""
        return mapping(self.config.get("provider"))

    @property
    def provider_type(self) -> str:
        """``aws``, ``local``, or another provider of Ray."""
        return str(self.provider.get("type", ""))

    @property
    def region(self) -> str:
        """The AWS region; empty if the file names none."""
        return str(self.provider.get("region") or "")

    @property
    def security_group(self) -> str:
        """The name of the security group; empty if the file names none."""
        return str(mapping(self.provider.get("security_group")).get("GroupName") or "")

    @property
    def key_pair(self) -> str:
        """The name of the key pair; empty if Ray chooses one."""
        return str(mapping(self.provider.get("key_pair")).get("key_name") or "")

    @property
    def head_type(self) -> str:
        """The node type of the head."""
        return str(self.config.get("head_node_type", ""))

    @cached_property
    def node_types(self) -> dict[str, dict[str, Any]]:
        """Every node type by name."""
        return {name: mapping(kind) for name, kind in mapping(self.config.get("available_node_types")).items()}

    def node_config(self, kind: str) -> dict[str, Any]:
        """Return the EC2 launch parameters of a node type."""
        return mapping(self.node_types[kind].get("node_config"))

    def instance_profile(self, kind: str) -> str:
        """Return the name of a node type's instance profile; empty if it has none."""
        return str(mapping(self.node_config(kind).get("IamInstanceProfile")).get("Name") or "")

    def commands(self, key: str) -> list[str]:
        """Return one of the lists of shell commands."""
        return [str(line) for line in self.config.get(key) or []]

    @cached_property
    def buckets(self) -> list[str]:
        """The buckets named in the setup commands."""
        text = "\n".join(line for key in COMMANDS for line in self.commands(key))
        return sorted(set(re.findall(r"s3://([A-Za-z0-9.\-_]+)", text)))


def load_documents(path: Path) -> list[Any]:
    """Return the YAML documents in a file. Raises ValueError if it is missing or not YAML."""
    if not path.is_file():
        raise UserError(f"file {path} does not exist: give the path of a cluster file, such as cluster.yaml")
    try:
        return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def mapping(value: Any) -> dict[str, Any]:
    """Return ``value`` if it is a mapping, otherwise an empty one; Ray's validator reports the mistake."""
    return value if isinstance(value, dict) else {}


def read_cluster(path: Path) -> ClusterFile:
    """Read the cluster file. Raises ValueError if it is missing, not YAML, or not a cluster file."""
    documents = load_documents(path)
    config = documents[0] if len(documents) == 1 else None
    if not isinstance(config, dict) or "type" not in mapping(config.get("provider")):
        raise UserError(f"{path} has no provider.type: it is not a cluster file for `ray up`")
    return ClusterFile(path, config)
