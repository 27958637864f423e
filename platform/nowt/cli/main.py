"""The command line: parses the arguments, runs the command, and converts an error to one line and an exit code.

Exit codes: 0 success, 1 a run or study failed, 2 a usage or config error or a file or server that cannot be used, 70 a
bug, whose traceback is in a file, 130 interrupted or the spending cap was reached (can be resumed), 141 the reader of
the output closed it.
"""

import argparse
import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from nowt.cli.commands import COMMANDS
from nowt.cli.commands.certify import BrokenRule
from nowt.cli.fields import check_given_once, parse_overrides, refuse_rest, refuse_unknown, split_field_args
from nowt.cli.given_paths import as_given
from nowt.cli.parser import Commands, Parser
from nowt.core.errors import ConfigError, did_you_mean, user_message
from nowt.core.exits import custom_line, describe_exit
from nowt.core.formatting import printable
from nowt.core.output import open_missing_streams, print_any_character, tolerant_output
from nowt.core.version import VERSION

BUG = 70  # exit code, EX_SOFTWARE of sysexits.h

PRINTING = {"doctor", "plan", "runs", "show", "--help", "-h", "--version"}  # these only print


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    open_missing_streams()  # before any file is opened
    argv = list(sys.argv[1:] if argv is None else argv)
    print_any_character()
    # of the other commands, the work goes on when nobody reads their output
    with nullcontext() if PRINTING & {*argv[:1]} or not argv else tolerant_output():
        return _main(argv)


def _main(argv: Sequence[str]) -> int:
    try:
        args = parse(argv)
        code: int = args.run(args)
        return code
    except BrokenPipeError:  # the reader of the output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python complains when it exits
        return 141  # as a shell reports SIGPIPE
    except SystemExit as error:
        if not (line := describe_exit(error)):  # --help
            raise
        print(f"nowt: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"nowt: interrupted; to resume, run the same command again: nowt {shlex.join(argv)}", file=sys.stderr)
        return 130
    except BaseException as error:  # custom code may raise any
        if "--debug" in argv:
            raise
        return _report(error, argv)


def _report(error: BaseException, argv: Sequence[str]) -> int:
    """Print one line about an error, and return the exit code. The traceback of a bug goes to a file."""
    code, line = 1 if isinstance(error, BrokenRule) else 2, one_line(error)
    if not line:
        kind = printable(f"{type(error).__name__}: {error}".splitlines()[0], keep="")
        file, number = custom_line(error)
        kind += f", at {file}:{number}" if file else ""
        code, line = BUG, f"a bug in nowt or in code that it runs ({kind}); the traceback is {_saved(argv)}"
    print(f"nowt: {as_given(line)}", file=sys.stderr)
    return code


def one_line(error: BaseException) -> str:
    """Return what is wrong, without control characters, since it may quote a file; of a broken rule, with its lines. An
    empty text for a bug."""
    if isinstance(error, BrokenRule):
        return printable(str(error), keep="\n\t")
    return user_message(error)


def _saved(argv: Sequence[str]) -> str:
    """Write the traceback of the current exception to a new file, or above this message if no file can be written.

    Return where it is.
    """
    head = f"nowt {VERSION}, Python {sys.version.split()[0]}\nnowt {shlex.join(argv)}\n\n"
    text = head + traceback.format_exc()
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="nowt-traceback-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        print(printable(text), file=sys.stderr)
        return "above"
    return f"in {file.name}"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the command's options, its function ``run`` and its ``overrides``, the config fields that are given.

    Fields and options can be given in any order. Raises ConfigError for a token that is neither.
    """
    top, commands = build_parser()
    name = next((token for token in argv if not token.startswith("-")), None)
    if name is None:
        refuse_unknown(argv, top.options, takes_fields=False, commands={})
        top.parse_options(argv)  # prints the help or the version if it is asked for
        top.error("no command is given")
    if name not in commands.choices:
        known = ", ".join(commands.choices)
        raise ConfigError(f"there is no command {name!r}{did_you_mean(name, commands.choices)}; there are: {known}")
    tokens = list(argv)
    tokens.remove(name)
    options = {command: parser.options for command, parser in commands.choices.items()}
    return _parse_command(commands.choices[name], tokens, options)


def _parse_command(parser: Parser, tokens: list[str], commands: Mapping[str, Sequence[str]]) -> argparse.Namespace:
    if {"-h", "--help"} & {*tokens}:
        parser.print_help()
        raise SystemExit(0)
    fields, others = split_field_args(tokens, parser.options) if parser.takes_fields else ([], tokens)
    # first, since it explains what else seems wrong
    refuse_unknown(others, parser.options, parser.takes_fields, commands)
    check_given_once([option for token in others if (option := token.partition("=")[0]) in parser.options])
    args, rest = parser.parse_options(others)
    if parser.takes_fields:
        args.overrides = parse_overrides([*rest, *fields])
    else:
        refuse_rest(rest)
    return args


def build_parser() -> tuple[Parser, Commands]:
    """Return the parser of ``nowt`` itself and the parsers of its commands."""
    top = Parser(
        prog="nowt",
        description="Train, search and compare learning rules that need no weight transport.",
        epilog="'nowt COMMAND --help' describes a command.",
        usage="nowt COMMAND [options]",
    )
    top.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    top.add_argument("--version", action="version", version=f"nowt {VERSION}", help="show the version and exit")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", prog="nowt", parser_class=Parser)
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        command.add(commands)
        commands.choices[name].set_defaults(run=command.run)
    return top, commands
