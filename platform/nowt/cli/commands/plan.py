"""``nowt plan``."""

from argparse import Namespace

from nowt.cli.options import add_planned_placement, add_slots, add_study, placement, study
from nowt.cli.output import echo
from nowt.cli.parser import FIELDS, Commands, add_command
from nowt.core.errors import require


def add(commands: Commands) -> None:
    """Add the command's arguments."""
    parser = add_command(
        commands,
        "plan",
        "estimate a study or search before it starts: runs, time, disk space, seeds, and the alignment to expect",
        "nowt plan rules_on_folder --data-dir images/ --gap 1.5",
        fields=FIELDS,
    )
    add_study(parser)
    parser.add_argument(
        "--gap",
        type=float,
        metavar="POINTS",
        help="smallest difference in error (percentage points) to detect; prints the number of seeds needed",
    )
    parser.add_argument(
        "--deviation",
        type=float,
        metavar="POINTS",
        help="standard deviation of that difference over seeds (default: estimated from earlier runs)",
    )
    parser.add_argument(
        "--true-gap",
        type=float,
        default=0.0,
        metavar="POINTS",
        help="true difference at which equality within --gap is to be shown (default: 0)",
    )
    parser.add_argument(
        "--mirror-share",
        type=float,
        default=0.25,
        metavar="SHARE",
        help="share of all operations that mirror mode may take (default: %(default)s); if it takes more, the angle "
        "that this share reaches is printed",
    )
    add_slots(parser)
    add_planned_placement(parser)


def run(args: Namespace) -> int:
    """Print what a study costs, how far its feedback can align, and what its seeds can detect."""
    share = args.mirror_share
    require(0 < share < 1, f"--mirror-share is {share:g}: it must lie above 0 and below 1")
    from nowt.studies.lookup import is_space

    if is_space(args.study):
        echo(_plan_search(args))
        return 0
    chosen = study(args)
    from nowt.studies.planning.estimate import plan
    from nowt.studies.planning.seed_count import TargetGap

    echo(plan(chosen, placement(args), TargetGap(args.gap, args.deviation, args.true_gap), args.mirror_share))
    return 0


def _plan_search(args: Namespace) -> str:
    """Return what a search costs, including the runs of its best settings."""
    space_option = "has no effect on a search space: leave it out"
    require(args.seeds is None, f"--seeds {args.seeds} {space_option}")
    from nowt.studies.lookup import find_space
    from nowt.studies.planning.search_estimate import plan_search
    from nowt.studies.planning.seed_count import TargetGap
    from nowt.studies.search.options import shrink_space, with_options

    space = find_space(args.study)
    space = shrink_space(space) if args.quick else space
    space = with_options(space, args.overrides, None, None, None)
    return plan_search(space, placement(args), TargetGap(args.gap, args.deviation, args.true_gap), args.mirror_share)
