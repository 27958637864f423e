"""``nowt doctor``."""

from argparse import Namespace
from pathlib import Path

from nowt.cli.given_paths import as_given
from nowt.cli.output import echo
from nowt.cli.parser import DEFAULT_STORE, Commands, add_command, local_path
from nowt.core.errors import require


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands, "doctor", "check this installation or a cluster, and say how to fix problems", "nowt doctor --cluster"
    )
    parser.add_argument(
        "--cluster",
        type=local_path,
        nargs="?",
        const="cluster.yaml",
        metavar="FILE",
        help="also check this file (cluster.yaml if no FILE is given), its AWS account, and the nodes if RAY_ADDRESS "
        "names a running cluster",
    )
    parser.add_argument(
        "--data-dir",
        default="",
        metavar="DIR",
        help="folder of the images on every node: compare names, sizes and, for 20 seconds, contents",
    )


def run(args: Namespace) -> int:
    """Print one line per check; 1 if a check failed."""
    require(args.cluster or not args.data_dir, "--data-dir compares the nodes of a cluster: add --cluster")
    from nowt.cli.databases import database_problems
    from nowt.cluster.findings import Finding
    from nowt.cluster.this_machine import check_machine
    from nowt.data.unused_files import unused_files
    from nowt.store.existing import missing_store

    missing = "" if as_given(args.store) == DEFAULT_STORE else missing_store(Path(args.store))
    findings = check_machine(Path(args.store), database_problems(Path(args.store)))
    if missing:
        findings = [Finding("store", missing, "failed"), *(line for line in findings if line.subject != "store")]
    findings += [Finding("cache", line) for line in unused_files(Path(args.store))]
    if args.cluster:
        from nowt.cluster.doctor import check_cluster
        from nowt.data.class_folders import IGNORED

        findings += check_cluster(Path(args.cluster), args.data_dir, IGNORED)
    for finding in findings:
        echo(finding)
    return 1 if any(finding.state == "failed" for finding in findings) else 0
