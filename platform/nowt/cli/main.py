"""The command line: read the words, let the verb do its work, turn its errors into one line and an exit code.

Exit code 0 done, 1 a run or study failed, 2 a usage or config error, 130 interrupted and resumable.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from nowt.cli.commands import VERBS
from nowt.cli.commands.certify import BrokenRule
from nowt.cli.parser import Parser
from nowt.config.overrides import Override, check_given_once, parse_overrides, split_field_args


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = list(sys.argv[1:] if words is None else words)
    try:
        typed, overrides = read(words)
        code: int = typed.act(typed, overrides)
        return code
    except BrokenPipeError:  # whoever read the output has had enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain as it ends
        return 141  # as the shell tells of a SIGPIPE
    except (ValueError, OSError, BrokenRule) as error:  # ValueError: ConfigError, DataError and the rules' own
        if "--debug" in words:
            raise
        print(f"nowt: {_one_line(error)}", file=sys.stderr)
        return 1 if isinstance(error, BrokenRule) else 2
    except KeyboardInterrupt:
        print(f"nowt: interrupted; the same command goes on: nowt {shlex.join(words)}", file=sys.stderr)
        return 130


def read(words: Sequence[str]) -> tuple[argparse.Namespace, list[Override]]:
    """The verb with its own options, and the fields that are given beside them, in any order.

    argparse would take the value of a field, an option that it does not know, for a name. So the words are read once
    to learn the verb, and then without its fields. Raises ConfigError for a word that fits neither.
    """
    grammar = parser()
    verb, _ = grammar.parse_known_args(words)
    given, others = split_field_args(words, verb.grammar.options)
    check_given_once([word.partition("=")[0] for word in others if word.partition("=")[0] in verb.grammar.options])
    typed, rest = grammar.parse_known_args(others)
    return typed, parse_overrides([*rest, *given], typed.grammar.options)


def parser() -> Parser:
    """The whole grammar."""
    top = Parser(
        prog="nowt",
        description="Learning without weight transport: train, ablate and compare feedback rules.",
        allow_abbrev=False,
    )
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND", required=True, parser_class=Parser)
    for verb in VERBS:
        verb.add(verbs)
        name = verb.__name__.rpartition(".")[2]
        verbs.choices[name].set_defaults(act=verb.run)
    return top


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)
