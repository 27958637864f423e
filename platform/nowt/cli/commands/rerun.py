"""Studies that run a search's best settings again."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from nowt.cli.options import exit_code, how
from nowt.store.layout import Store
from nowt.store.study_file import read_study_file
from nowt.studies.ablation import Outcome
from nowt.studies.study import Study


def again(
    typed: argparse.Namespace,
    tell: Callable[[Callable[[Study], Outcome]], str],
    runs: Iterable[str] = (),
    since: int | None = None,
) -> int:
    """Run them, one cap over all of them and the earlier ``runs`` (their keys) from ``since`` on (see How), and print
    what ``tell`` says of them; the exit code."""
    from nowt.studies.ablation import ablate
    from nowt.studies.search.best_trials import NotWhole

    chosen, counted = how(typed), [*runs]

    def go(study: Study) -> Outcome:
        print(f"{study.name}: {study.question}")
        outcome = ablate(study, replace(chosen, also=tuple(counted), since=since), print)
        counted.extend(run.key for run in read_study_file(Store(Path(typed.store)).study_file(study.key)).runs)
        return outcome

    try:
        print(tell(go))
    except NotWhole as error:
        print(error)
        return exit_code(error.outcome.interrupted, error.outcome.capped, bool(error.outcome.failed))
    return 0
