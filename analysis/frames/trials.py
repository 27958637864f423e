"""The trials of a search as one tidy frame with declared and checked columns.

It is made from the study file and the epoch logs alone. One row is one trial. Errors are fractions from 0 to 1, and
costs are cumulative since the start of the run. A setting is missing in trials that do not have it: a setting of
another rule, or a conditional one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from analysis.frames.rule_names import with_rule_names
from analysis.frames.searches import SearchPlan
from analysis.frames.store.logs import read_logs
from analysis.frames.store.trial_rows import trial_frame
from analysis.frames.study import copies_of, counted_runs, rows, states_in_words, way_to_results
from nowt.core.errors import UserError
from nowt.store.chance import LEARNED, SPLIT_NAMES, Verdict, judge
from nowt.store.used_images import CountedRun, describe_images, runs_by_images


@dataclass(frozen=True)
class Trials:
    """A search and its trials, in the order of cells and trial numbers.

    Attributes:
        plan: The search's cells, settings, sampler and budget.
        frame: One row per trial, columns ``trial_columns(plan)``: those of ``TRIALS``, and one for each setting
            searched.
        unlearned: The verdicts on those finished trials that do not show that they have learned
            (``nowt.store.chance``), by name.
        copies: For each data set, a sentence that counts the images of equal content, if there are any.
    """

    plan: SearchPlan
    frame: pd.DataFrame
    unlearned: Mapping[str, Verdict] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)

    @property
    def counted(self) -> pd.DataFrame:
        """The finished and diverged trials, which have a final error."""
        return counted_runs(self.frame)

    @property
    def independent(self) -> bool:
        """Whether the counted trials are independent draws, and none was stopped early."""
        return self.plan.independent and not (self.frame["state"] == "stopped").any()


def read_trials(store: Path, plan: SearchPlan) -> Trials:
    """Read the trials of a search.

    Args:
        store: Folder of the store.
        plan: The search, from ``find_study``.

    Returns:
        The search and one row per trial.

    Raises:
        ValueError: A log cannot be read; the message names the line. Or trials with the same data settings used
            different images; the message names them.

    Example:
        >>> trials = read_trials(Path("runs"), find_study(Path("runs"), "fair_rules"))  # doctest: +SKIP
        >>> trials.counted.nsmallest(3, "error")  # doctest: +SKIP
    """
    logs = read_logs(store, [run for run, _, _ in plan.runs])
    if found := runs_by_images([CountedRun(cell, number, logs.get(run).facts) for run, cell, number in plan.runs]):
        raise UserError(
            f"search {plan.key} has trials on {describe_images(found, 'trial')}, which are not compared: start it "
            "again in a new --store, on the images to keep"
        )
    plan = replace(plan, cells=with_rule_names(plan.cells, ((cell, logs.get(run).facts) for run, cell, _ in plan.runs)))
    frame = trial_frame(logs, plan)
    finished = frame.loc[frame["state"] == "finished", ["cell", "trial", "run", "error"]]
    verdicts = {
        f"{trial.cell}, trial {trial.trial}": judge(trial.error, facts["classes"], facts.get(SPLIT_NAMES["val"], 0))
        for trial in rows(finished)
        if (facts := logs.get(trial.run).facts)
    }
    unlearned = {name: verdict for name, verdict in verdicts.items() if verdict != LEARNED}
    return Trials(plan, frame, unlearned, copies_of(logs.get(run).facts for run, _, _ in plan.runs))


def require_counted_trials(trials: Trials) -> None:
    """Raise ValueError if no trial has finished or diverged; the message counts the trials by state."""
    if trials.counted.empty:
        found = states_in_words(trials.frame) or "no trial"
        again = way_to_results(trials.frame)
        raise UserError(f"search {trials.plan.key} has no finished trial yet ({found}): {again}")
