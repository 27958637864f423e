"""Options that several commands share: each ``add_*`` adds them to a parser, and the function below it reads them."""

from argparse import ArgumentTypeError, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nowt.cli.fields import check_rule_names
from nowt.cli.parser import Parser, local_path
from nowt.config.placement import Placement
from nowt.core.errors import ConfigError, require
from nowt.store.files import check_writable

if TYPE_CHECKING:
    from nowt.execution.runner import ExecutionOptions
    from nowt.studies.study import Study


def add_local_placement(parser: Parser) -> None:
    """Add the options for device, threads and data folder."""
    parser.add_argument(
        "--data-dir",
        type=local_path,
        default="",
        metavar="DIR",
        help="folder of the images, for data sets that are read from disk (default: none)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="torch threads per run (default: %(default)s)"
    )
    parser.add_argument(
        "--loaders",
        type=int,
        default=2,
        metavar="N",
        help="processes per worker that decode images (default: %(default)s)",
    )


def local_placement(args: Namespace) -> Placement:
    """Return where anything is computed. Raises ConfigError for an impossible value."""
    require(args.threads >= 1, f"--threads is {args.threads}: it must be at least 1")
    require(args.loaders >= 0, f"--loaders is {args.loaders}: it must be at least 0")
    check_writable(Path(args.store), "--store")
    return Placement(
        store=args.store, data=args.data_dir, device=args.device, threads=args.threads, loaders=args.loaders
    )


def add_code(parser: Parser) -> None:
    """Add the option that allows the code which a store names."""
    parser.add_argument(
        "--code",
        nargs="+",
        default=[],
        metavar="FILE.py:NAME",
        help="custom rules and models of the store's runs that may be imported (default: none)",
    )


def import_code(args: Namespace) -> None:
    """Import the given code. Raises ConfigError for what cannot be imported."""
    from nowt.core.plugins import module_of

    for spec in args.code:
        module_of(spec)


def add_placement(parser: Parser) -> None:
    """Add the options that say where runs are computed, and when they save checkpoints."""
    add_planned_placement(parser)
    parser.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=600.0,
        metavar="S",
        help="save a checkpoint within an epoch every S seconds (default: %(default)g)",
    )


def add_audit(parser: Parser) -> None:
    """Add the number of audited steps."""
    parser.add_argument(
        "--audit",
        type=int,
        metavar="N",
        help="number of training steps, drawn at random, in which nowt looks for reads of W (default: 3 for custom "
        "rules, 0 for built-in ones); the results do not change",
    )


def add_planned_placement(parser: Parser) -> None:
    """Add the options that say where runs are computed, and which checkpoints they keep."""
    add_local_placement(parser)
    parser.add_argument(
        "--keep-checkpoints",
        metavar="WHICH",
        help="checkpoints to keep: last, all, or epochs such as 0,10,50 (default: the study's setting, or last)",
    )


def add_slots(parser: Parser) -> None:
    """Add the number of runs at a time."""
    parser.add_argument(
        "--slots", type=int, metavar="N", help="runs at a time (default: one per GPU, else CPU cores / threads)"
    )


def add_bucket(parser: Parser) -> None:
    """Add the bucket to which checkpoints are copied."""
    parser.add_argument(
        "--checkpoints",
        default="",
        metavar="s3://BUCKET/PREFIX",
        help="copy every checkpoint to this bucket, and resume from it when the local one is lost (default: no copy)",
    )


def add_workers(parser: Parser) -> None:
    """Add the number of workers that share a run."""
    parser.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N",
        help="workers per run (Ray Train data parallelism); MIN:MAX for an elastic range (default: %(default)s)",
    )
    parser.add_argument(
        "--gpus-per-worker",
        type=float,
        metavar="G",
        help="GPUs per worker; a fraction such as 0.5 lets several workers share one (default: 1; less for runs of one "
        "worker with more slots than GPUs)",
    )


def _workers(text: str) -> int | tuple[int, int]:
    fewest, colon, most = text.partition(":")
    try:
        return (int(fewest), int(most)) if colon else int(text)
    except ValueError:
        raise ArgumentTypeError(f"invalid value {text!r}: give a number such as 4, or a range such as 2:4") from None


def placement(args: Namespace) -> Placement:
    """Return where runs are computed. Raises ConfigError for an impossible value."""
    from nowt.training.retention import parse_keep

    slots, seconds = getattr(args, "slots", None), getattr(args, "checkpoint_seconds", 600.0)
    require(slots is None or slots >= 1, f"--slots is {slots}: it must be at least 1")
    audit = getattr(args, "audit", None)
    require(audit is None or audit >= 0, f"--audit is {audit}: it must be at least 0")
    require(seconds >= 0, f"--checkpoint-seconds is {seconds}: it must be at least 0")  # NaN is refused, too
    return replace(
        local_placement(args),
        slots=slots,
        checkpoint_seconds=seconds,
        keep=parse_keep(args.keep_checkpoints),
        checkpoints=_checked_bucket(getattr(args, "checkpoints", "")),
        workers=getattr(args, "workers", 1),
        gpus_per_worker=getattr(args, "gpus_per_worker", None),
        audit=audit,
    )


def _checked_bucket(url: str) -> str:
    """Return the bucket, after one request that shows that it accepts files. Raises OSError if it does not."""
    from nowt.store.sync.checkpoint_bucket import check_bucket

    if url:
        check_bucket(url)
    return url


def add_execution(parser: Parser) -> None:
    """Add the options that say how a study's runs are executed."""
    parser.add_argument(
        "--in-process", action="store_true", help="run one after another in this process, without Ray (default: on Ray)"
    )
    parser.add_argument(
        "--redo",
        action="store_true",
        help="train again what no longer counts because images, a file or settings have changed",
    )
    add_slots(parser)
    total = "earlier commands included (default: no limit)"
    parser.add_argument("--hours", type=float, metavar="H", help=f"stop when the study has taken H hours, {total}")
    parser.add_argument(
        "--money", type=float, metavar="M", help=f"stop when the study has cost M, {total}; requires --price"
    )
    parser.add_argument(
        "--price",
        metavar="P",
        help="hourly price of the whole cluster, or per node type: gpu=0.53,head=0.1 (default: none)",
    )
    add_placement(parser)
    add_audit(parser)
    add_bucket(parser)
    add_workers(parser)


def execution_options(args: Namespace) -> "ExecutionOptions":
    """Return how a study's runs are executed. Raises ConfigError for options that exclude each other."""
    from nowt.execution.pricing import Price
    from nowt.execution.runner import ExecutionOptions
    from nowt.execution.spending_cap import SpendingCap

    require(
        not args.in_process or (args.workers == 1 and args.gpus_per_worker is None),
        "--in-process cannot be combined with --workers or --gpus-per-worker, which need Ray",
    )
    require(
        not args.in_process or args.slots in (None, 1),
        f"--slots is {args.slots}: --in-process executes one run at a time; leave --slots out",
    )
    price = None if args.price is None else Price.parse(args.price)
    require(
        not (args.in_process and price and price.by_type),
        "--price has node types, but --in-process uses no cluster: give one hourly price, such as --price 0.53",
    )
    cap = SpendingCap(args.hours, args.money, price)
    return ExecutionOptions(placement(args), args.in_process, cap, redo=args.redo, chosen=_chosen(args))


def _chosen(args: Namespace) -> tuple[str, ...]:
    """Return the paths of the settings that the command line names; ``*`` if an option changes many."""
    many = any(getattr(args, name, None) is not None for name in ("recipe", "sampler", "stopping", "first_rung"))
    return (*(override.path for override in getattr(args, "overrides", ())), *(["*"] if many else []))


def add_study(parser: Parser) -> None:
    """Add the study and the options that make it smaller or larger."""
    parser.add_argument("study", metavar="STUDY", help="a study's name, or a FILE.py that defines one")
    parser.add_argument(
        "--quick", action="store_true", help="a reduced study of a few minutes: two epochs, few images, one seed"
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="run seeds 0 to N-1 (default: the study's own seeds)")


def study(args: Namespace) -> "Study":
    """Return the study with the command line's fields, added rules and seeds.

    A field is set in every cell; each ``--rule`` adds a cell. Raises ConfigError if two cells become the same.
    """
    from nowt.studies.lookup import check_study, find_study

    check_study(args.study)  # before torch is imported
    check_rule_names(args.overrides)
    if any(override.path == "seed" for override in args.overrides):
        raise ConfigError("--seed cannot be used with a study; --seeds N runs seeds 0 to N-1")
    from nowt.config.overrides import apply_overrides
    from nowt.config.run_key import run_key
    from nowt.rules.registry import find_rule
    from nowt.studies.ablation import shrink_study
    from nowt.studies.study import Cell

    found = find_study(args.study)
    added = [override.text for override in args.overrides if override.path == "rule"]
    rest = [override for override in args.overrides if override.path != "rule"]
    cells = [Cell(cell.name, apply_overrides(cell.config, rest)) for cell in found.cells]
    for spec in added:
        rule = find_rule(spec)()
        cells.append(Cell(rule.name, apply_overrides(replace(found.cells[0].config, rule=rule), rest)))
    if len({run_key(replace(cell.config, seed=0), "") for cell in cells}) < len(cells):
        raise ConfigError(
            "these options make two cells of the study the same; do not set a field that the study varies"
        )
    require(args.seeds is None or args.seeds >= 1, f"--seeds is {args.seeds}: it must be at least 1")
    seeds = found.seeds if args.seeds is None else tuple(range(args.seeds))
    changed = replace(found, cells=tuple(cells), seeds=seeds)
    return shrink_study(changed) if args.quick else changed


def exit_code(interrupted: bool, capped: str, failed: bool) -> int:
    """Return the exit code of a study. Raises KeyboardInterrupt if the user interrupted it."""
    if interrupted:
        raise KeyboardInterrupt
    return 130 if capped else int(failed)
