"""The command line's grammar: one parser, one sub-parser a verb. What the verbs do stands in cli.py."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from nowt.config import ConfigError, nearest
from nowt.overrides import Override, once, parse, split

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
            raise ConfigError(f"there is no command {word!r}{nearest(word, names)}; there are: {', '.join(names)}")
        raise ConfigError(f"{message} (nowt --help)" if self.prog == "nowt" else f"{message} ({self.prog} --help)")

    @property
    def options(self) -> list[str]:
        """Every option, as it is typed."""
        return list(self._option_string_actions)


def read(words: Sequence[str]) -> tuple[argparse.Namespace, list[Override]]:
    """The verb with its own options, and the fields that are given beside them, in any order.

    argparse would take the value of a field, an option that it does not know, for a name. So the words are read once
    to learn the verb, and then without its fields. Raises ConfigError for a word that fits neither.
    """
    grammar = parser()
    verb, _ = grammar.parse_known_args(words)
    given, others = split(words, verb.grammar.options)
    once([word.partition("=")[0] for word in others if word.partition("=")[0] in verb.grammar.options])
    typed, rest = grammar.parse_known_args(others)
    return typed, parse([*rest, *given], typed.grammar.options)


def parser() -> Parser:
    """The whole grammar."""
    top = Parser(
        prog="nowt",
        description="Learning without weight transport: train, ablate and compare feedback rules.",
        allow_abbrev=False,
    )
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND", required=True, parser_class=Parser)
    _train(verbs)
    _ablate(verbs)
    _search(verbs)
    _transfer(verbs)
    _plan(verbs)
    _records(verbs)
    _rest(verbs)
    return top


def _verb(verbs: argparse._SubParsersAction, name: str, text: str, example: str) -> Parser:  # type: ignore[type-arg]
    verb: Parser = verbs.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=f"example: {example}",
        allow_abbrev=False,
    )
    verb.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verb.add_argument("--store", default="runs", metavar="DIR", help="folder of logs and records (default: runs)")
    verb.set_defaults(grammar=verb)  # `read` asks it for its options
    return verb


def _placement(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--data-dir", default="", metavar="DIR", help="folder of the pictures")
    verb.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default: auto)")
    verb.add_argument("--threads", type=int, default=1, metavar="N", help="torch threads of a run (default: 1)")
    verb.add_argument(
        "--loaders", type=int, default=2, metavar="N", help="processes that decode a run's pictures (default: 2)"
    )
    verb.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=600.0,
        metavar="S",
        help="in mid-epoch, a checkpoint every S seconds (default: 600)",
    )


def _train(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    verb = _verb(
        verbs,
        "train",
        "train one run in this process; again to go on where it stopped",
        "nowt train digits --rule kp --optim.lr 0.1",
    )
    verb.epilog = f"{FIELDS}. {verb.epilog}"
    verb.add_argument("recipe", help="a recipe's name, or FILE.py:FUNCTION of your own")
    verb.add_argument("--fields", action="store_true", help="list every field with its type and value, and stop")
    _placement(verb)


def _ablate(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    verb = _verb(
        verbs,
        "ablate",
        "run an ablation: every cell, every seed; again to resume",
        "nowt ablate rules_on_digits --seeds 5",
    )
    verb.epilog = f"{FIELDS}; it changes every cell, and --rule adds a cell of that rule. {verb.epilog}"
    verb.add_argument("study", help="a study's name, or a FILE.py of your own")
    verb.add_argument("--quick", action="store_true", help="a few minutes: two epochs on few pictures, one seed")
    verb.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N-1 instead of the study's own")
    _how(verb)


def _search(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    verb = _verb(
        verbs,
        "search",
        "search a rule's settings: every cell of a space with the same budget; again to resume",
        "nowt search fair_rules --trials 64",
    )
    verb.epilog = f"{FIELDS}; it changes every cell's base config. {verb.epilog}"
    verb.add_argument("space", help="a space's name, or a FILE.py of your own")
    verb.add_argument("--trials", type=int, metavar="N", help="trials a cell instead of the space's own budget")
    verb.add_argument("--recipe", help="the base config instead of the space's own: a recipe, or FILE.py:FUNCTION")
    verb.add_argument("--sampler", choices=["tpe", "quasi_random", "random", "grid"], help="instead of the space's own")
    verb.add_argument("--stopping", choices=["none", "halving", "median"], help="instead of the space's own")
    verb.add_argument(
        "--first-rung", type=int, metavar="EPOCH", help="no trial is stopped before (default: kp aligned)"
    )
    verb.add_argument("--confirm", type=int, metavar="K", help="then run the K best of each rule on fresh seeds")
    verb.add_argument("--confirm-seeds", type=int, metavar="N", help="fresh seeds (default: 3)")
    verb.add_argument("--storage", metavar="URL", help="Optuna's storage (default: sqlite, STORE/optuna.db)")
    verb.add_argument("--quick", action="store_true", help="a few minutes: two epochs, few pictures, few runs")
    _how(verb)


def _transfer(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    verb = _verb(
        verbs,
        "transfer",
        "run a search's best settings, unchanged, on another net or other pictures; again to resume",
        "nowt transfer fair_rules --to digits --model.name resnet20",
    )
    verb.epilog = f"{FIELDS}; it changes the recipe, but nothing that was searched. {verb.epilog}"
    verb.add_argument("space", help="name or key of a search in the store")
    verb.add_argument("--to", required=True, metavar="RECIPE", help="a recipe's name, or FILE.py:FUNCTION of your own")
    verb.add_argument("--best", type=int, default=3, metavar="K", help="settings of each rule (default: 3)")
    verb.add_argument("--seeds", type=int, default=3, metavar="N", help="fresh seeds (default: 3)")
    _how(verb)


def _how(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--in-process", action="store_true", help="one run after the other in this process, without Ray")
    verb.add_argument("--slots", type=int, metavar="N", help="runs at a time (default: cores / threads)")
    verb.add_argument("--hours", type=float, metavar="H", help="stop once all starts together took H hours")
    verb.add_argument("--money", type=float, metavar="M", help="stop once they cost M, with --price")
    verb.add_argument("--price", type=float, metavar="P", help="of an hour of all machines that work on it")
    _placement(verb)


def _plan(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    verb = _verb(
        verbs,
        "plan",
        "tell before it starts: runs, hours, disk, and the alignment to expect",
        "nowt plan rules_on_folder --data-dir pictures/ --optim.weight_decay 0.01",
    )
    verb.epilog = f"{FIELDS}. {verb.epilog}"
    verb.add_argument("study", help="a study's name, or a FILE.py of your own")
    verb.add_argument("--quick", action="store_true", help="the study as nowt ablate --quick shrinks it")
    verb.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N-1 instead of the study's own")
    verb.add_argument("--slots", type=int, metavar="N", help="runs at a time (default: cores / threads)")
    _placement(verb)


def _records(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    runs = _verb(verbs, "runs", "the runs of the store, as a table", "nowt runs --rule kp --state finished")
    runs.add_argument("--rule", help="only this rule's")
    runs.add_argument("--state", help="only these: running, interrupted, finished, diverged, stopped, failed")
    runs.add_argument("--study", help="only this study's (its name or key)")
    show = _verb(verbs, "show", "one run: config, curve, alignment", "nowt show 3f2a91")
    show.add_argument("run", help="the run's key, or its first digits")
    report = _verb(
        verbs, "report", "figures and tables of a study or search", "nowt report rules_on_digits --out figures"
    )
    report.add_argument("study", nargs="?", help="name or key of a study or search (default: the newest)")
    report.add_argument("--out", default="figures", metavar="DIR", help="where they go (default: figures)")
    ui = _verb(verbs, "ui", "the MLflow page on the store, on this machine only", "nowt ui")
    ui.add_argument("--port", type=int, default=5000, help="default: 5000, or the next free one")
    _verb(verbs, "rebuild", "MLflow and frames again, from the logs alone", "nowt rebuild")


def _rest(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    certify = _verb(verbs, "certify", "check a rule against its promises, and write its certificate", "nowt certify kp")
    certify.epilog = f"The rule's fields: --rule.scale 2. {certify.epilog}"
    certify.add_argument("rule", nargs="?", help="a rule's name, or a FILE.py of your own")
    certify.add_argument("--all", action="store_true", help="every built-in rule")
    certify.add_argument("--out", metavar="DIR", help="where the JSON goes (default: STORE/certificates)")
    _verb(verbs, "doctor", "what is wrong with this installation, in plain words", "nowt doctor")
