"""``nowt deliver``."""

from argparse import Namespace
from pathlib import Path

from nowt.cli.output import echo
from nowt.cli.parser import Commands, add_command
from nowt.core.errors import ConfigError
from nowt.core.formatting import counted


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "deliver",
        "upload the runs that an MLflow tracking server does not have yet",
        "nowt deliver --to http://127.0.0.1:5000",
    )
    parser.add_argument(
        "--to", default="", metavar="URL", help="the server (default: environment variable NOWT_RECORD)"
    )


def run(args: Namespace) -> int:
    """Upload what a server does not have yet."""
    from nowt.core.urls import TRACKING_VARIABLE, tracking_url, tracking_url_from_environment
    from nowt.tracking.delivery import deliver

    url = tracking_url(args.to, "--to") if args.to else tracking_url_from_environment()
    if not url:
        raise ConfigError(f"no server is given: use --to http://127.0.0.1:5000, or set {TRACKING_VARIABLE}")
    echo(f"uploaded {counted(deliver(Path(args.store), url, echo), 'run')} to {url}")
    return 0
