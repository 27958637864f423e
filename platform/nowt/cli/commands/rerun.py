"""Runs a search's best settings again, for ``nowt search --confirm`` and ``nowt transfer``."""

from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nowt.cli.options import execution_options, exit_code
from nowt.cli.output import echo
from nowt.store.layout import Store
from nowt.store.study_file import read_study_file

if TYPE_CHECKING:
    from nowt.studies.ablation import Outcome
    from nowt.studies.study import Study


def rerun(
    args: Namespace,
    run_studies: "Callable[[Callable[[Study], Outcome]], str]",
    counted_runs: Iterable[str] = (),
    counted_since: int | None = None,
    repeats: bool = True,
) -> int:
    """Call ``run_studies`` with a function that runs one study, print the text it returns, and return the exit code.

    All studies share one spending cap. The cap also counts the runs with the keys ``counted_runs``, from the time
    ``counted_since`` on. ``repeats`` is that of ``ablate``.
    """
    from nowt.studies.ablation import ablate
    from nowt.studies.search.best_trials import StudyIncomplete

    options, counted = execution_options(args), [*counted_runs]

    def run_study(study: "Study") -> "Outcome":
        echo(f"{study.name}: {study.question}")
        capped = replace(options, counted_runs=tuple(counted), counted_since=counted_since)
        outcome = ablate(study, capped, echo, repeats)
        counted.extend(run.key for run in read_study_file(Store(Path(args.store)).study_file(study.key)).runs)
        return outcome

    try:
        echo(run_studies(run_study))
    except StudyIncomplete as error:
        echo(error)
        return exit_code(error.outcome.interrupted, error.outcome.capped, bool(error.outcome.failed))
    return 0
