"""``nowt serve``."""

from argparse import Namespace
from functools import partial
from pathlib import Path

from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands, "serve", "start an MLflow tracking server with a password, on localhost only", "nowt serve"
    )
    parser.add_argument("--port", type=int, default=5000, help="port of the server (default: %(default)s)")
    parser.add_argument(
        "--backend", default="", metavar="URL", help="MLflow's database (default: SQLite, in the store)"
    )


def run(args: Namespace) -> int:
    """Run an MLflow tracking server until Ctrl-C."""
    from nowt.tracking.server import serve

    return serve(Path(args.store), args.port, args.backend, partial(echo, flush=True))
