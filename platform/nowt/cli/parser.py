"""How the command line is read: one parser, one sub-parser a verb, and the options that several verbs share."""

import argparse
from typing import NoReturn, TypeAlias

from nowt.core.errors import ConfigError, nearest

FIELDS = (
    "Any other field by its dotted path: --optim.lr 0.2 --rule kp --rule.scale 2 "
    "(all fields: nowt train RECIPE --fields)"
)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, raised, with the nearest right word."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError instead of printing the usage."""
        wrong, _, choices = message.partition("(choose from ")
        if choices:
            word = wrong.split("'")[1]
            names = [c.strip("' )") for c in choices.split(",")]
            option = wrong.removeprefix("argument ").partition(":")[0]
            what = f"{option} is {word!r}" if option.startswith("-") else f"there is no command {word!r}"
            raise ConfigError(f"{what}{nearest(word, names)}; there are: {', '.join(names)}")
        raise ConfigError(f"{message} (nowt --help)" if self.prog == "nowt" else f"{message} ({self.prog} --help)")

    @property
    def options(self) -> list[str]:
        """Every option, as it is typed."""
        return list(self._option_string_actions)


Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_verb(verbs: Verbs, name: str, text: str, example: str, store: bool = True) -> Parser:
    """A verb with the options that all have, ``--store`` where it has one; ``text``: what it does, in lower case."""
    verb = verbs.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=f"example: {example}",
        allow_abbrev=False,
    )
    verb.add_argument("--debug", action="store_true", help="show the traceback of an error")
    if store:
        verb.add_argument("--store", default="runs", metavar="DIR", help="folder of logs and records (default: runs)")
    verb.set_defaults(grammar=verb)  # whoever reads the words asks it for its options
    return verb


def add_machine(verb: Parser) -> None:
    """Where anything is computed; ``options.machine`` reads it."""
    verb.add_argument("--data-dir", default="", metavar="DIR", help="folder of the pictures")
    verb.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default: auto)")
    verb.add_argument("--threads", type=int, default=1, metavar="N", help="torch threads of a run (default: 1)")
    verb.add_argument(
        "--loaders", type=int, default=2, metavar="N", help="processes that decode a worker's pictures (default: 2)"
    )


def add_placement(verb: Parser) -> None:
    """Where runs are computed; ``options.placement`` reads it."""
    add_machine(verb)
    verb.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=600.0,
        metavar="S",
        help="in mid-epoch, a checkpoint every S seconds (default: 600)",
    )
    verb.add_argument(
        "--keep-checkpoints", metavar="WHICH", help="last, all, or epochs 0,10,50 (default: the study's own, or last)"
    )


def add_bucket(verb: Parser) -> None:
    """Where checkpoints outlive their disk; ``options.placement`` reads it."""
    verb.add_argument(
        "--checkpoints",
        default="",
        metavar="s3://BUCKET/PREFIX",
        help="copy each there, and go on from there where the disk with the run's own is lost",
    )


def add_slots(verb: Parser) -> None:
    """How many runs go on at a time."""
    verb.add_argument("--slots", type=int, metavar="N", help="runs at a time (default: cores / threads)")


def add_workers(verb: Parser) -> None:
    """How many share a run; ``options.placement`` reads it."""
    verb.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N",
        help="that share a run, on Ray Train; 2:4 takes as many of 2 to 4 as there is room for (default: 1)",
    )
    verb.add_argument(
        "--gpus-per-worker", type=float, metavar="G", help="a share such as 0.5 packs several workers on a GPU"
    )


def _workers(text: str) -> int | tuple[int, int]:
    fewest, colon, most = text.partition(":")
    try:
        return (int(fewest), int(most)) if colon else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"it is {text!r}: a number such as 4, or two such as 2:4") from None


def add_how(verb: Parser) -> None:
    """How a study's runs are done; ``options.how`` reads it."""
    verb.add_argument("--in-process", action="store_true", help="one run after the other in this process, without Ray")
    add_slots(verb)
    verb.add_argument("--hours", type=float, metavar="H", help="stop once all starts together took H hours")
    verb.add_argument("--money", type=float, metavar="M", help="stop once they cost M, with --price")
    verb.add_argument("--price", metavar="P", help="of an hour of all its machines, or by node type: gpu=0.53,head=0.1")
    add_placement(verb)
    add_bucket(verb)
    add_workers(verb)


def add_study(verb: Parser) -> None:
    """Which study, and how much of it; ``options.study`` reads it."""
    verb.add_argument("study", help="a study's name, or a FILE.py of your own")
    verb.add_argument("--quick", action="store_true", help="a few minutes: two epochs on few pictures, one seed")
    verb.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N-1 instead of the study's own")
