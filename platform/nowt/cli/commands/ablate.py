"""``nowt ablate``."""

from argparse import Namespace
from functools import partial
from shlex import quote

from nowt.cli.options import add_execution, add_study, execution_options, exit_code, study
from nowt.cli.output import echo
from nowt.cli.parser import FIELDS, Commands, add_command


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "ablate",
        "run an ablation study, every cell with every seed; run the same command again to resume",
        "nowt ablate rules_on_digits --seeds 5",
        fields=f"{FIELDS} A field is set in every cell of the study; --rule RULE adds a cell with that rule.",
    )
    add_study(parser)
    add_execution(parser)


def run(args: Namespace) -> int:
    """Run a study, on Ray or in this process."""
    chosen = study(args)
    from nowt.studies.ablation import ablate

    outcome = ablate(chosen, execution_options(args), partial(echo, flush=True))
    echo(outcome.summary())
    if code := exit_code(outcome.interrupted, outcome.capped, bool(outcome.failed)):
        return code
    store = quote(str(args.store))
    echo(f"Next: nowt report {chosen.name} --store {store}    or    nowt ui --store {store}")
    return 0
