"""``nowt search``."""

import argparse
from dataclasses import replace
from pathlib import Path

from nowt.cli.commands.rerun import again
from nowt.cli.options import exit_code, how
from nowt.cli.parser import FIELDS, Parser, Verbs, add_how, add_verb
from nowt.config.overrides import Override
from nowt.core.errors import require


def add(verbs: Verbs) -> None:
    """Its grammar."""
    text = "search a rule's settings: every cell of a space with the same budget; again to resume"
    verb = add_verb(verbs, "search", text, "nowt search fair_rules --trials 64")
    verb.epilog = f"{FIELDS}; it changes every cell's base config. {verb.epilog}"
    _what(verb)
    verb.add_argument("--confirm", type=int, metavar="K", help="then run the K best of each rule on fresh seeds")
    verb.add_argument("--confirm-seeds", type=int, metavar="N", help="fresh seeds (default: 3)")
    verb.add_argument("--storage", metavar="URL", help="Optuna's storage (default: sqlite, STORE/optuna.db)")
    verb.add_argument("--quick", action="store_true", help="a few minutes: two epochs, few pictures, few runs")
    add_how(verb)


def _what(verb: Parser) -> None:
    verb.add_argument("space", help="a space's name, or a FILE.py of your own")
    verb.add_argument("--trials", type=int, metavar="N", help="trials a cell instead of the space's own budget")
    verb.add_argument("--recipe", help="the base config instead of the space's own: a recipe, or FILE.py:FUNCTION")
    verb.add_argument("--sampler", choices=["tpe", "quasi_random", "random", "grid"], help="instead of the space's own")
    verb.add_argument("--stopping", choices=["none", "halving", "median"], help="instead of the space's own")
    verb.add_argument(
        "--first-rung", type=int, metavar="EPOCH", help="no trial is stopped before (default: kp aligned)"
    )


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """A search space, on Ray Tune or in this process; then, where asked, its best once more."""
    from nowt.studies.lookup import find_recipe, find_space
    from nowt.studies.search.best_trials import confirmations, search_file
    from nowt.studies.search.run import quick, search
    from nowt.studies.search.space import on_recipe, with_options

    _check_confirm(typed.confirm, typed.confirm_seeds)
    space = find_space(typed.space)
    space = on_recipe(space, find_recipe(typed.recipe)) if typed.recipe else space
    space = quick(space) if typed.quick else space
    space = with_options(space, overrides, typed.trials, typed.sampler, typed.stopping, typed.first_rung)
    store = Path(typed.store)
    chosen = replace(how(typed), also=confirmations(store, space.name))
    outcome = search(space, chosen, print, typed.storage)
    print(outcome.summary())
    failed = any(states.get("fail") for states in outcome.states.values())
    if code := exit_code(outcome.interrupted, outcome.capped, failed):
        return code
    if typed.confirm is None:
        print(f"Next: nowt report {space.name} --store {typed.store}    or    the same command with --confirm 3")
        return 0
    from nowt.studies.search.confirm import confirm

    seeds = typed.confirm_seeds or 3
    study_file = search_file(store, space.key)
    runs = [run.key for run in study_file.runs]
    return again(typed, lambda go: confirm(store, space.key, typed.confirm, seeds, go), runs, study_file.created)


def _check_confirm(most: int | None, seeds: int | None) -> None:
    """Before hours are spent on the search that comes first."""
    require(most is None or most >= 1, f"--confirm is {most}: it must be at least 1")
    require(seeds is None or seeds >= 1, f"--confirm-seeds is {seeds}: it must be at least 1")
    require(seeds is None or most is not None, "--confirm-seeds is for --confirm K: give both")
