"""``nowt ui``."""

import os
from argparse import Namespace
from functools import partial
from pathlib import Path

from nowt.cli.output import echo
from nowt.cli.parser import DEFAULT_STORE, Commands, add_command, local_path
from nowt.core.errors import require
from nowt.core.file_systems import encoding_problem


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands, "ui", "start the MLflow web page of a store, on localhost only", "nowt ui", store=False
    )
    parser.add_argument(
        "--store",
        default=DEFAULT_STORE,
        metavar="DIR",
        help="folder of the store; with --cluster, on the head node (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=int, default=5000, help="port of the page (default: %(default)s, or the next free port)"
    )
    parser.add_argument(
        "--no-password",
        action="store_true",
        help="ask for no password: every user of this machine can then open the page and change runs",
    )
    parser.add_argument(
        "--cluster",
        type=local_path,
        nargs="?",
        const="cluster.yaml",
        metavar="FILE",
        help="open the page of the nowt serve that runs on this cluster's head node, through an ssh tunnel "
        "(cluster.yaml if no FILE is given)",
    )
    parser.add_argument(
        "--head-port", type=int, metavar="N", help="MLflow's port on the head node, with --cluster (default: 5000)"
    )


def run(args: Namespace) -> int:
    """Run MLflow's web page until Ctrl-C."""
    if args.cluster:
        from nowt.cluster.cluster_file import read_cluster
        from nowt.cluster.tunnel import open_tunnel

        ports = args.port, 5000 if args.head_port is None else args.head_port
        return open_tunnel(read_cluster(Path(args.cluster)), ports, args.store, partial(echo, flush=True))
    require(args.head_port is None, f"--head-port {args.head_port} needs --cluster; without it, use --port")
    store = local_path(args.store)
    require(not (problem := encoding_problem(store)), f"--store: {problem}")
    from nowt.tracking.ui import web_page

    page = web_page(Path(store), args.port, not args.no_password)
    os.chdir(page.folder)
    os.execve(page.command[0], page.command, page.environment)
