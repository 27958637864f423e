"""``nowt runs``."""

from argparse import Namespace
from pathlib import Path

from nowt.cli.given_paths import as_given
from nowt.cli.output import echo
from nowt.cli.parser import DEFAULT_STORE, Commands, add_command


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(commands, "runs", "list the runs in a store", "nowt runs --rule kp --state finished")
    parser.add_argument("--rule", help="only runs of this rule")
    parser.add_argument(
        "--state", help="only runs in this state: running, interrupted, finished, diverged, stopped or failed"
    )
    parser.add_argument("--study", help="only runs of this study (its name or key)")


def run(args: Namespace) -> int:
    """Print the runs as a table."""
    from nowt.cli.tables import runs_table
    from nowt.store.existing import require_store

    if as_given(args.store) != DEFAULT_STORE:
        require_store(Path(args.store))
    echo(runs_table(Path(args.store), rule=args.rule, state=args.state, study=args.study))
    return 0
