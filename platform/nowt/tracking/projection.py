"""What MLflow is to show of a run and of a study: pure functions of log and study file, without MLflow."""

import json
import math
import statistics
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from nowt.core.fields import flatten
from nowt.store.records import Epoch, Layer, RunLog
from nowt.store.study_file import StudyFile

STATUS = {"running": "RUNNING", "finished": "FINISHED", "diverged": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}

MEASURES = ("matrix_angle", "delta_angle", "norm_ratio")

SCALARS = tuple(f.name for f in fields(Epoch) if f.name not in ("epoch", "step", "layers"))

LONGEST_PARAM = 6000  # characters: MLflow's own limits

LONGEST_TAG = 8000


@dataclass(frozen=True)
class Page:
    """One MLflow run as it should be, its numbers aside."""

    key: str  # run key or study key
    name: str
    start: int  # milliseconds since 1970
    end: int | None
    state: str  # running, finished, diverged, failed
    tags: dict[str, str]  # an empty one is not shown
    params: dict[str, str] = field(default_factory=dict)


def run_page(run: RunLog, study: StudyFile | None, cell: str, seed: int) -> Page:
    """The page of a run that has its start line; a run in no study has no cell either."""
    config = run.start["config"]
    place = {"study": study.key, "cell": cell} if study else {}
    if study:
        place["mlflow.note.content"] = f"{study.question} This run: cell {cell}, seed {seed}."
    tags = place | _run_tags(run, seed)
    rule, model = config["rule"]["name"], config["model"]["name"]
    words = dict.fromkeys([cell if study else rule, f"seed {seed}", rule, model])
    return Page(
        key=run.key,
        name=", ".join(words),
        start=run.start["time"],
        end=run_end(run),
        state=run.state,
        tags={name: cut(text, LONGEST_TAG) for name, text in tags.items()},
        params={name: cut(text_of(value), LONGEST_PARAM) for name, value in flatten(config).items()},
    )


def _run_tags(run: RunLog, seed: int) -> dict[str, str]:
    config, git = run.start["config"], run.start.get("git", {})
    return {
        "nowt.key": run.key,
        "rule": config["rule"]["name"],
        "model": config["model"]["name"],
        "seed": str(seed),
        "data.fingerprint": run.start.get("fingerprint", ""),
        "data.skipped": str(len(run.start.get("skipped", ()))),  # pictures; the log names them
        "git.commit": git.get("commit", ""),
        "git.dirty": text_of(git.get("dirty", "")) if git.get("commit") else "",
        "attempts": str(run.attempts),
        "state": run.state,
        "reason": run.reason,
        **{f"version.{name}": version for name, version in run.start.get("versions", {}).items()},
    }


def run_end(run: RunLog) -> int | None:
    """The last time the log heard of the run; None while its first attempt is under way.

    A later attempt has one, since MLflow can move the end that an earlier attempt left, but not take it away.
    """
    if run.state == "running" and run.attempts == 1:
        return None
    last: int = run.times[-1] if run.times else run.start.get("time", 0)
    return last or None


@dataclass
class Tally:
    """The states of a study's runs that have a log, kept as they are heard of."""

    states: dict[str, str] = field(default_factory=dict)  # by run key
    counts: Counter[str] = field(default_factory=Counter)
    end: int = 0  # the last time that any of them was heard of, milliseconds since 1970

    def hear(self, key: str, state: str, end: int | None) -> bool:
        """Take in a run's state and end; whether the study's page has to change."""
        before, last = self.states.get(key), self.end
        self.end = max(last, end or 0)
        if before == state:
            return self.end != last
        self.counts.subtract([before] if before else [])
        self.counts[state] += 1
        self.states[key] = state
        return True


def study_page(study_file: StudyFile, runs: Tally) -> Page:
    """The parent run of a study; ``runs`` are those of its runs that have a log."""
    missing = len({run.key for run in study_file.runs}) - len(runs.states)
    counts = {**{state: runs.counts[state] for state in STATUS}, "not started": missing}
    open_ = counts["running"] + counts["not started"]
    state = "running" if open_ else "failed" if counts["failed"] else "finished"
    tags = {
        "nowt.key": study_file.key,
        "study": study_file.key,
        "mlflow.note.content": study_file.question,
        "reference": study_file.reference,
        "seeds": ", ".join(str(seed) for seed in study_file.seeds),
        "progress": ", ".join(f"{number} {state}" for state, number in counts.items() if number),
        "state": state,
    }
    tags = {name: cut(text, LONGEST_TAG) for name, text in tags.items()}
    return Page(study_file.key, f"study {study_file.name}", study_file.created, runs.end or None, state, tags)


def numbers(epoch: Epoch) -> dict[str, float]:
    """The epoch's numbers. Undefined ones are left out, since MLflow would store NaN as 0."""
    found = {name: float(getattr(epoch, name)) for name in SCALARS}
    for measure in MEASURES:
        found |= _over_layers(measure, epoch.layers)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _over_layers(measure: str, layers: tuple[Layer, ...]) -> dict[str, float]:
    """Minimum, median and maximum over the layers where it is defined, and the last layer's."""
    defined = [value for layer in layers if math.isfinite(value := getattr(layer, measure))]
    if not defined:
        return {}
    last = max(layers, key=lambda layer: layer.depth)
    return {
        f"{measure}/min": min(defined),
        f"{measure}/median": statistics.median(defined),
        f"{measure}/max": max(defined),
        f"{measure}/last_layer": getattr(last, measure),
    }


def text_of(value: Any) -> str:
    """A setting as text: None as ``none``, lists and the like as JSON."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def cut(text: str, longest: int) -> str:
    """``text``; where it is too long for MLflow, its middle is left out and counted. The log has it all."""
    if len(text) <= longest:
        return text
    half = longest // 2 - 25
    return f"{text[:half]} [... {len(text) - 2 * half} characters cut ...] {text[-half:]}"
