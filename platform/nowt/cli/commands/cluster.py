"""``nowt cluster prepare`` and ``nowt cluster teardown``."""

from argparse import Namespace
from pathlib import Path

from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command, local_path, one_of
from nowt.core.errors import ConfigError


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "cluster",
        "create the AWS resources that a cluster.yaml names (prepare), or delete them (teardown)",
        "nowt cluster prepare cluster.yaml --ssh-from 203.0.113.7/32",
        store=False,
    )
    actions = ("prepare", "teardown")
    parser.add_argument(
        "action", type=one_of(*actions), choices=actions, help="prepare before 'ray up', teardown after 'ray down'"
    )
    parser.add_argument(
        "file",
        type=local_path,
        metavar="FILE",
        nargs="?",
        default="cluster.yaml",
        help="cluster file (default: %(default)s)",
    )
    parser.add_argument(
        "--ssh-from",
        default="",
        metavar="CIDR",
        help="addresses that may reach port 22, separated by commas; YOUR.ADDRESS/32 (required by prepare)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def run(args: Namespace) -> int:
    """Create what the file names, or delete it."""
    from nowt.cluster.cluster_file import read_cluster
    from nowt.cluster.provision import prepare, teardown

    file = read_cluster(Path(args.file))
    if args.action == "prepare":
        if not args.ssh_from:
            raise ConfigError("prepare needs --ssh-from YOUR.ADDRESS/32, the addresses that may reach port 22")
        return prepare(file, args.ssh_from, args.yes, echo)
    if args.ssh_from:
        raise ConfigError("--ssh-from is for prepare; teardown deletes the whole security group")
    return teardown(file, args.yes, echo)
