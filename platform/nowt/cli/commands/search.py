"""``nowt search``."""

from argparse import Namespace
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from nowt.cli.commands.rerun import rerun
from nowt.cli.options import add_execution, execution_options, exit_code
from nowt.cli.output import echo
from nowt.cli.parser import FIELDS, Commands, Parser, add_command, one_of
from nowt.core.errors import require

if TYPE_CHECKING:
    from nowt.studies.search.confirmation import Confirm
    from nowt.studies.search.space import SearchSpace

SAMPLERS = ("tpe", "quasi_random", "random", "grid")

STOPPING = ("none", "halving", "median")


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "search",
        "search hyperparameters, every cell of a space with the same budget; run the same command again to resume",
        "nowt search fair_rules --trials 64",
        fields=f"{FIELDS} A field is set in every cell's base config.",
    )
    _add_space(parser)
    parser.add_argument(
        "--confirm",
        type=int,
        metavar="K",
        help="then rerun the best K trials of each cell with fresh seeds (default: as the space says, or no rerun)",
    )
    parser.add_argument("--confirm-seeds", type=int, metavar="N", help="fresh seeds for --confirm (default: 3)")
    parser.add_argument(
        "--pick-seeds",
        type=int,
        metavar="N",
        help="run the picks with N seeds that have not chosen them (default: those of --confirm-seeds)",
    )
    parser.add_argument("--storage", metavar="URL", help="Optuna storage (default: SQLite, STORE/optuna.db)")
    parser.add_argument(
        "--quick", action="store_true", help="a reduced search of a few minutes: two epochs, few images, few trials"
    )
    add_execution(parser)


def _add_space(parser: Parser) -> None:
    own = "(default: the space's own)"
    parser.add_argument("space", metavar="SPACE", help="a search space's name, or a FILE.py that defines one")
    parser.add_argument("--trials", type=int, metavar="N", help=f"number of trials per cell {own}")
    parser.add_argument("--recipe", help=f"recipe of the base config, or FILE.py:FUNCTION {own}")
    parser.add_argument("--sampler", type=one_of(*SAMPLERS), choices=SAMPLERS, help=f"how trials are drawn {own}")
    parser.add_argument(
        "--stopping", type=one_of(*STOPPING), choices=STOPPING, help=f"how trials are stopped early {own}"
    )
    parser.add_argument(
        "--first-rung",
        type=int,
        metavar="EPOCH",
        help="first epoch at which a trial may be stopped (default: the space's own, or when kp has aligned)",
    )


def run(args: Namespace) -> int:
    """Run a search, on Ray or in this process; with ``--confirm``, then rerun its best trials."""
    from nowt.studies.lookup import check_recipe, check_space

    _check_confirm(args)
    check_space(args.space)  # before torch is imported
    if args.recipe:
        check_recipe(args.recipe)
    from nowt.studies.search.best_trials import confirmation_runs, find_search
    from nowt.studies.search.run import search

    space = _space(args)
    how = _confirmation(args, space)
    store = Path(args.store)
    options = replace(execution_options(args), counted_runs=confirmation_runs(store, space.name))
    outcome = search(space, options, echo, args.storage)
    echo(outcome.summary())
    if code := exit_code(outcome.interrupted, outcome.capped, outcome.failed):
        return code
    if how is None:
        shown = quote(str(args.store))
        echo(f"Next: nowt report {space.name} --store {shown}    or    the same command with --confirm 3")
        return 0
    from nowt.studies.search.confirm import confirm

    study_file = find_search(store, space.key)
    runs = [run.key for run in study_file.runs]
    run_studies = partial(confirm, store, space.key, how)
    return rerun(args, run_studies, runs, study_file.created, repeats=False)  # a longer search has other picks


def _space(args: Namespace) -> "SearchSpace":
    """Return the space with the changes of the command line."""
    from nowt.studies.lookup import find_recipe, find_space
    from nowt.studies.search.options import shrink_space, with_options, with_recipe

    space = find_space(args.space)
    space = with_recipe(space, find_recipe(args.recipe)) if args.recipe else space
    space = shrink_space(space) if args.quick else space
    return with_options(space, args.overrides, args.trials, args.sampler, args.stopping, args.first_rung)


def _check_confirm(args: Namespace) -> None:
    """Check the options of ``--confirm`` before the search, which may take hours."""
    for option, value in _confirm_options(args).items():
        require(value >= 1, f"--{option} is {value}: it must be at least 1")
    unused = args.confirm == 1 and args.confirm_seeds is not None and args.pick_seeds is not None
    no_effect = "has no effect with --confirm 1 and --pick-seeds: leave it out"
    require(not unused, f"--confirm-seeds {args.confirm_seeds} {no_effect}")


def _confirm_options(args: Namespace) -> dict[str, int]:
    """Return the options of ``--confirm`` that were given."""
    options = {"confirm": args.confirm, "confirm-seeds": args.confirm_seeds, "pick-seeds": args.pick_seeds}
    return {option: value for option, value in options.items() if value is not None}


def _confirmation(args: Namespace, space: "SearchSpace") -> "Confirm | None":
    """Return how the best settings are confirmed. Raises ConfigError for an option that contradicts the space."""
    from nowt.studies.search.confirmation import SEEDS, Confirm

    fields = {"confirm": "settings", "confirm-seeds": "seeds", "pick-seeds": "pick_seeds"}
    given = _confirm_options(args)
    if space.confirm is None:
        for option, value in given.items():
            require(args.confirm is not None, f"--{option} {value} needs --confirm K")
        return Confirm(args.confirm, args.confirm_seeds or SEEDS, args.pick_seeds) if given else None
    for option, value in given.items():
        stated = f"{fields[option]}={getattr(space.confirm, fields[option])} (confirm)"
        if args.quick and option != "confirm":  # one seed, whatever the space states
            differs = f"--quick sets {stated}: leave one of them out"
        else:
            differs = f"{space.name} states {stated}: leave the option out, or change the space"
        require(value == getattr(space.confirm, fields[option]), f"--{option} is {value}, but {differs}")
    return space.confirm
