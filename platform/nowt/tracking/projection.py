"""The content of MLflow's runs, as pure functions of epoch log and study file. Does not import MLflow."""

import json
import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any

from nowt.core.fields import flatten
from nowt.core.plugins import file_label
from nowt.store.audits import audits_in_words
from nowt.store.outcome import run_warnings
from nowt.store.records import (
    FAILED_STATES,
    IMAGE_FIELDS,
    MEASURES,
    Epoch,
    Layer,
    RunLog,
    median_over_layers,
    rule_label,
    values_over_layers,
)
from nowt.store.study_file import StudyFile

STATUS = {
    "running": "RUNNING",
    "finished": "FINISHED",
    "diverged": "FINISHED",
    "stopped": "KILLED",
    **dict.fromkeys(FAILED_STATES, "FAILED"),
}

SCALARS = tuple(f.name for f in fields(Epoch) if f.name not in ("epoch", "step", "layers", *IMAGE_FIELDS))

SUPERSEDED_TAG = "superseded.by"  # the key of the run that counts in place of this one

SUPERSEDED = " (superseded)"  # at the end of the name of a run that no longer counts

LONGEST_PARAM = 6000  # characters; MLflow's own limits

LONGEST_TAG = 8000


@dataclass(frozen=True)
class MlflowRun:
    """The desired content of an MLflow run, except for its metrics."""

    key: str  # run key or study key
    name: str
    start: int  # milliseconds since 1970
    end: int | None
    state: str  # running, finished, diverged, failed, transport detected
    tags: dict[str, str]  # empty ones are not shown
    params: dict[str, str] = field(default_factory=dict)


def describe_run(run: RunLog, study: StudyFile | None, cell: str, seed: int, successor: str = "") -> MlflowRun:
    """Return the MLflow run of a run with a start line. A run without a study has no cell either.

    ``successor`` is the key of the run that counts in its place; empty if it counts itself.
    """
    config = run.start["config"]
    place = {"study": study.key, "cell": cell} if study else {}
    if study:
        place["mlflow.note.content"] = f"{study.question} This run: cell {cell}, seed {seed}."
    tags = place | _run_tags(run, seed) | {SUPERSEDED_TAG: successor}
    rule, model = (file_label(config[part]["name"]) for part in ("rule", "model"))
    rule = rule_label(run.rule_name, rule)
    words = dict.fromkeys([cell if study else rule, f"seed {seed}", rule, model])
    return MlflowRun(
        key=run.key,
        name=marked_name(", ".join(words), bool(successor)),
        start=run.start["time"],
        end=end_of(run),
        state=run.state,
        tags={name: truncate(text, LONGEST_TAG) for name, text in tags.items()},
        params={name: truncate(text_of(value), LONGEST_PARAM) for name, value in flatten(config).items()},
    )


def marked_name(name: str, superseded: bool) -> str:
    """Return a run's name in MLflow, which a user may have changed, with or without the mark of superseded runs."""
    return name.removesuffix(SUPERSEDED) + SUPERSEDED * superseded


def _run_tags(run: RunLog, seed: int) -> dict[str, str]:
    config, git = run.start["config"], run.start.get("git", {})
    return {
        "nowt.key": run.key,
        "rule": config["rule"]["name"],
        "model": config["model"]["name"],
        "seed": str(seed),
        "data.fingerprint": run.start.get("fingerprint", ""),
        "data.skipped": str(len(run.start.get("skipped", ()))),  # images; the log names them
        "git.commit": git.get("commit", ""),
        "git.dirty": text_of(git.get("dirty", "")) if git.get("commit") else "",
        "earlier.keys": ", ".join(run.earlier_keys),  # before nowt upgrade
        "attempts": str(run.attempts),
        "attempts.changed": "; ".join(run.changes),
        "state": run.state,
        "reason": run.reason,
        "warning": "; ".join(run_warnings(run)),
        "audit": audits_in_words(run.audits),
        **{f"version.{name}": version for name, version in run.start.get("versions", {}).items()},
    }


def end_of(run: RunLog) -> int | None:
    """Return the time of the log's last line; None during the first attempt.

    Later attempts have an end, because MLflow can move the end of an earlier attempt, but not remove it.
    """
    if run.state == "running" and run.attempts == 1:
        return None
    last: int = run.times[-1] if run.times else run.start.get("time", 0)
    return last or None


@dataclass
class StudyCounts:
    """The states of those of a study's runs that have a log."""

    states: dict[str, str] = field(default_factory=dict)  # by run key
    counts: Counter[str] = field(default_factory=Counter)
    end: int = 0  # the latest end of any of them, milliseconds since 1970

    def update(self, key: str, state: str, end: int | None) -> bool:
        """Record a run's state and end. Return whether the study's MLflow run has to change."""
        before, last = self.states.get(key), self.end
        self.end = max(last, end or 0)
        if before == state:
            return self.end != last
        self.counts.subtract([before] if before else [])
        self.counts[state] += 1
        self.states[key] = state
        return True


def describe_study(study_file: StudyFile, runs: StudyCounts, superseded: Collection[str] = ()) -> MlflowRun:
    """Return the MLflow run of a study, the parent of its runs. ``superseded`` runs are not among ``runs``."""
    missing = len({run.key for run in study_file.runs} - {*superseded}) - len(runs.states)
    states = {state: runs.counts[state] for state in STATUS}
    counts = {**states, "not started": missing, "superseded": len(superseded)}
    open_ = counts["running"] + counts["not started"]
    state = "running" if open_ else "failed" if any(counts[each] for each in FAILED_STATES) else "finished"
    tags = {
        "nowt.key": study_file.key,
        "study": study_file.key,
        "mlflow.note.content": study_file.question,
        "reference": study_file.reference,
        "seeds": ", ".join(str(seed) for seed in study_file.seeds),
        "progress": ", ".join(f"{number} {state}" for state, number in counts.items() if number),
        "state": state,
    }
    tags = {name: truncate(text, LONGEST_TAG) for name, text in tags.items()}
    return MlflowRun(study_file.key, f"study {study_file.name}", study_file.created, runs.end or None, state, tags)


def metrics_of(epoch: Epoch) -> dict[str, float]:
    """Return the metrics of an epoch. Undefined ones are omitted, since MLflow would store NaN as 0."""
    found = {name: float(getattr(epoch, name)) for name in SCALARS}
    for measure in MEASURES:
        found |= _over_layers(measure, epoch.layers)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _over_layers(measure: str, layers: tuple[Layer, ...]) -> dict[str, float]:
    """Return the minimum, median and maximum of ``measure`` over the layers, and the value of the last layer.

    δ angles that are 0 under every rule, such as that of the last layer, are left out.
    """
    found: dict[str, float] = {}
    if layers and measure != "delta_angle":
        found[f"{measure}/last_layer"] = getattr(max(layers, key=lambda layer: layer.depth), measure)
    if values := values_over_layers(measure, layers):
        found[f"{measure}/min"], found[f"{measure}/max"] = min(values), max(values)
        found[f"{measure}/median"] = median_over_layers(measure, layers)
    return found


def text_of(value: Any) -> str:
    """Return a setting as text: None as ``none``, lists and other values as JSON."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def truncate(text: str, limit: int) -> str:
    """Return at most ``limit`` characters of ``text``, with a note in place of its middle. The log has the complete
    text."""
    if len(text) <= limit:
        return text
    half = limit // 2 - 25
    return f"{text[:half]} [... {len(text) - 2 * half} characters cut ...] {text[-half:]}"
