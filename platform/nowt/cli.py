"""The verbs: they parse, call and print; they decide nothing.

Exit code 0 done, 1 a run or study failed, 2 a usage or config error, 130 interrupted and resumable.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from nowt.ablate import Outcome
from nowt.arguments import read
from nowt.cap import Cap
from nowt.config import ConfigError, Placement, RunConfig, require
from nowt.hands.work import How
from nowt.keys import run_key
from nowt.overrides import Override, apply, describe
from nowt.rules.rule import Rule
from nowt.store import check_writable
from nowt.study import Cell, Study

# what the code of a rule may raise while it is certified
RAISED = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError)


class BrokenRule(Exception):
    """A rule's own code raised while it was certified."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = list(sys.argv[1:] if words is None else words)
    try:
        typed, overrides = read(words)
        return VERBS[typed.verb](typed, overrides)
    except (ValueError, OSError, BrokenRule) as error:  # ValueError: ConfigError, DataError and the rules' own
        if "--debug" in words:
            raise
        print(f"nowt: {_one_line(error)}", file=sys.stderr)
        return 1 if isinstance(error, BrokenRule) else 2
    except KeyboardInterrupt:
        print(f"nowt: interrupted; the same command goes on: nowt {shlex.join(words)}", file=sys.stderr)
        return 130


def train(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """One run, in this process, with its log and record."""
    from nowt.find import find_recipe

    config = apply(find_recipe(typed.recipe)(), overrides)
    if typed.fields:
        for path, kind, value in describe(config):
            print(f"--{path:32} {value:20} {kind}")
        return 0
    from nowt.single import train_one

    return train_one(config, _placement(typed), say=print)


def ablate(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """A study, on Ray Tune or in this process."""
    from nowt.ablate import ablate as run
    from nowt.ablate import quick

    study = _study(typed, overrides)
    study = quick(study) if typed.quick else study
    outcome = run(study, _how(typed), say=print)
    print(outcome.summary())
    if code := _code(outcome.interrupted, outcome.capped, bool(outcome.failed)):
        return code
    print(f"Next: nowt report {study.name} --store {typed.store}    or    nowt ui --store {typed.store}")
    return 0


def search(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """A search space, on Ray Tune or in this process."""
    from nowt.find import find_recipe, find_space
    from nowt.search import quick
    from nowt.search import search as run
    from nowt.search.space import on_recipe, with_options

    _check_confirm(typed.confirm, typed.confirm_seeds)
    space = find_space(typed.space)
    space = on_recipe(space, find_recipe(typed.recipe)) if typed.recipe else space
    space = quick(space) if typed.quick else space
    space = with_options(space, overrides, typed.trials, typed.sampler, typed.stopping, typed.first_rung)
    outcome = run(space, _how(typed), print, typed.storage)
    print(outcome.summary())
    failed = any(states.get("fail") for states in outcome.states.values())
    if code := _code(outcome.interrupted, outcome.capped, failed):
        return code
    if typed.confirm is None:
        print(f"Next: nowt report {space.name} --store {typed.store}    or    the same command with --confirm 3")
        return 0
    from nowt.search.confirm import confirm

    return _again(typed, lambda go: confirm(Path(typed.store), space.key, typed.confirm, typed.confirm_seeds or 3, go))


def _check_confirm(most: int | None, seeds: int | None) -> None:
    """Before hours are spent on the search that comes first."""
    require(most is None or most >= 1, f"--confirm is {most}: it must be at least 1")
    require(seeds is None or seeds >= 1, f"--confirm-seeds is {seeds}: it must be at least 1")
    require(seeds is None or most is not None, "--confirm-seeds is for --confirm K: give both")


def transfer(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """A search's best settings on another recipe."""
    from nowt.find import find_recipe
    from nowt.search.transfer import Target
    from nowt.search.transfer import transfer as carry

    target = Target(Path(typed.to.partition(":")[0]).stem, find_recipe(typed.to), overrides)
    return _again(typed, lambda go: carry(Path(typed.store), typed.space, target, typed.best, typed.seeds, go))


def _again(typed: argparse.Namespace, tell: Callable[[Callable[[Study], Outcome]], str]) -> int:
    """Studies that run a search's best settings again, and what they tell."""
    from nowt.ablate import ablate as run
    from nowt.search.best import NotWhole

    how = _how(typed)
    try:
        print(tell(lambda study: run(study, how, print)))
    except NotWhole as error:
        print(error)
        return _code(error.outcome.interrupted, error.outcome.capped, bool(error.outcome.failed))
    return 0


def _code(interrupted: bool, capped: str, failed: bool) -> int:
    """The exit code of a study; raises KeyboardInterrupt for one that the user interrupted."""
    if interrupted:
        raise KeyboardInterrupt
    return 130 if capped else int(failed)


def _how(typed: argparse.Namespace) -> How:
    return How(_placement(typed), typed.in_process, Cap(typed.hours, typed.money, typed.price))


def plan(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """What a study costs and how far its feedback can align."""
    from nowt.ablate import quick
    from nowt.plan import plan as look_ahead

    study = _study(typed, overrides)
    print(look_ahead(quick(study) if typed.quick else study, _placement(typed)))
    return 0


def runs(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """The runs as a table."""
    from nowt.show import runs_table

    _no(overrides)
    print(runs_table(Path(typed.store), rule=typed.rule, state=typed.state, study=typed.study))
    return 0


def show(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """One run."""
    from nowt.show import run_page

    _no(overrides)
    print(run_page(Path(typed.store), typed.run))
    return 0


def report(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """Figures and tables."""
    from nowt.find import find_report

    _no(overrides)
    made = find_report()(Path(typed.store), typed.study, Path(typed.out))
    print(made)
    return 0


def certify(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """Certificates of one rule, with fields of its own where given, or of all."""
    from nowt.certify import certify_command

    out = Path(typed.out or f"{typed.store}/certificates")
    chosen = _rules(typed, overrides)
    check_writable(out, "--out" if typed.out else "--store")
    try:
        code: int = certify_command(chosen, out)
    except RAISED as error:
        name, reason = typed.rule or "--all", str(error).strip().partition("\n")[0]
        raise BrokenRule(f"certifying {name} raised {type(error).__name__}: {reason} (--debug shows where)") from error
    return code


def _rules(typed: argparse.Namespace, overrides: list[Override]) -> list[Rule]:
    from nowt import rules

    if typed.all == bool(typed.rule):
        raise ConfigError("name one rule, or give --all: nowt certify kp")
    if typed.all:
        _no(overrides)
        return [kind() for kind in rules.RULES]
    _of_the_rule(overrides, typed.rule)
    return [apply(RunConfig(rule=rules.find(typed.rule)()), overrides).rule]


def ui(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """MLflow's page, until Ctrl-C."""
    from nowt.ui import ui_command

    _no(overrides)
    command = ui_command(Path(typed.store), typed.port)
    os.execv(command[0], command)


def rebuild(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """MLflow and frames again."""
    from nowt.rebuild import rebuild_all

    _no(overrides)
    print(rebuild_all(Path(typed.store)))
    return 0


def doctor(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """What is wrong here."""
    from nowt.doctor import examine

    _no(overrides)
    problems = examine(Path(typed.store))
    print("\n".join(problems) if problems else "nothing found wrong")
    return 1 if problems else 0


VERBS = {
    f.__name__: f for f in (train, ablate, search, transfer, plan, runs, show, report, certify, ui, rebuild, doctor)
}


def _placement(typed: argparse.Namespace) -> Placement:
    slots, seconds = getattr(typed, "slots", None), typed.checkpoint_seconds
    require(typed.threads >= 1, f"--threads is {typed.threads}: it must be at least 1")
    require(slots is None or slots >= 1, f"--slots is {slots}: it must be at least 1")
    require(typed.loaders >= 0, f"--loaders is {typed.loaders}: it must be at least 0")
    require(seconds >= 0, f"--checkpoint-seconds is {seconds}: it must be at least 0")  # which nan is not
    check_writable(Path(typed.store), "--store")
    return Placement(
        store=typed.store,
        data=typed.data_dir,
        device=typed.device,
        threads=typed.threads,
        slots=slots,
        loaders=typed.loaders,
        checkpoint_seconds=seconds,
    )


def _study(typed: argparse.Namespace, overrides: list[Override]) -> Study:
    """The study as the command line changes it: fields in every cell, ``--rule`` as another cell, seeds."""
    from nowt import rules
    from nowt.find import find_study

    study = find_study(typed.study)
    if any(o.path == "seed" for o in overrides):
        raise ConfigError("a study gives each run its seed: --seeds N runs seeds 0 to N-1")
    added = [o.text for o in overrides if o.path == "rule"]
    rest = [o for o in overrides if o.path != "rule"]
    cells = [Cell(cell.name, apply(cell.config, rest)) for cell in study.cells]
    for spec in added:
        rule = rules.find(spec)()
        cells.append(Cell(rule.name, apply(replace(study.cells[0].config, rule=rule), rest)))
    if len({run_key(replace(cell.config, seed=0), "") for cell in cells}) < len(cells):
        raise ConfigError("these options make two cells of the study the same: leave out what the study itself varies")
    if typed.seeds is not None and typed.seeds < 1:
        raise ConfigError(f"--seeds is {typed.seeds}: it must be at least 1")
    seeds = study.seeds if typed.seeds is None else tuple(range(typed.seeds))
    return replace(study, cells=tuple(cells), seeds=seeds)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


def _no(overrides: list[Override]) -> None:
    if overrides:
        raise ConfigError(f"there is no option --{overrides[0].path} here; --help lists all")


def _of_the_rule(overrides: list[Override], rule: str) -> None:
    for override in overrides:
        if not override.path.startswith("rule."):
            raise ConfigError(f"--{override.path} does not change the certificate of {rule}: --rule.FIELD does")
