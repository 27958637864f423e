"""``nowt ablate``."""

import argparse

from nowt.cli.options import exit_code, how, study
from nowt.cli.parser import FIELDS, Verbs, add_how, add_study, add_verb
from nowt.config.overrides import Override


def add(verbs: Verbs) -> None:
    """Its grammar."""
    text = "run an ablation: every cell, every seed; again to resume"
    verb = add_verb(verbs, "ablate", text, "nowt ablate rules_on_digits --seeds 5")
    verb.epilog = f"{FIELDS}; it changes every cell, and --rule adds a cell of that rule. {verb.epilog}"
    add_study(verb)
    add_how(verb)


def run(typed: argparse.Namespace, overrides: list[Override]) -> int:
    """A study, on Ray or in this process."""
    from nowt.studies.ablation import ablate

    chosen = study(typed, overrides)
    outcome = ablate(chosen, how(typed), say=print)
    print(outcome.summary())
    if code := exit_code(outcome.interrupted, outcome.capped, bool(outcome.failed)):
        return code
    print(f"Next: nowt report {chosen.name} --store {typed.store}    or    nowt ui --store {typed.store}")
    return 0
