"""Runs that no longer count, finished or begun: a study of the same name repeats them, because something has changed.

The runs stay in the store. Before they are repeated, the commands say how many they are and what has changed. If this
repeats more than a minute of work, they require ``--redo``.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nowt.core.errors import ConfigError
from nowt.core.fields import flatten
from nowt.core.formatting import counted
from nowt.core.plugins import file_label, is_file_spec, split_spec
from nowt.execution.runner import ExecutionOptions
from nowt.execution.scheduler import PlannedRun
from nowt.store.layout import Store
from nowt.store.records import FINAL_STATES, RunLog
from nowt.store.run_log import read
from nowt.store.study_file import StudyFile, read_study_file, read_study_files
from nowt.studies.study import Study

NOWT = ("nowt has changed", "the version of nowt has changed, or images or a file")  # causes

UPGRADE = "`nowt upgrade STORE` gives today's keys to those whose content is shown to be equal"

FREE_SECONDS = 60.0  # of earlier work that may be repeated without --redo

FILES = ("rule.name", "model.name")  # settings that may be paths; the code in the files identifies them

SHOWN = 3  # settings, and class folders, that are named


@dataclass(frozen=True)
class Superseded:
    """A run that no longer counts."""

    seconds: float  # that it took
    causes: tuple[str, ...]
    settings: tuple[str, ...] = ()  # paths of the settings that differ
    finished: bool = True  # otherwise it was interrupted after an epoch or more, and would have been resumed

    def is_chosen(self, chosen: Sequence[str]) -> bool:
        """Return whether only settings differ, and only those that this command names."""
        named = tuple(path.replace("-", "_") for path in chosen)
        return len(self.causes) == 1 and bool(self.settings) and all(_is_named(path, named) for path in self.settings)


def _is_named(path: str, named: Sequence[str]) -> bool:
    return any(name in ("*", path) or path.startswith(f"{name}.") for name in named)


def superseded_runs(store: Path, name: str, plan: Sequence[PlannedRun]) -> list[Superseded]:
    """Return the runs of studies called ``name`` that runs of ``plan`` repeat: those of the same cell and seed. A cell
    that was renamed is found by its settings. A planned run that has begun repeats nothing any more."""
    if not plan:  # otherwise the logs of all runs would be read
        return []
    earlier = _earlier_runs(store, name, {planned.key for planned in plan})
    cells = {planned.cell for planned in plan}
    gone = [log for (cell, _), logs in earlier.items() if cell not in cells for log in logs]
    found = []
    for planned in plan:
        logs = earlier.get((planned.cell, planned.seed)) or [log for log in gone if _has_settings(log, planned)]
        if logs and not _has_begun(store, planned.key):
            compared = [_compared(log, planned.start) for log in logs]
            found.append(min(compared, key=lambda one: (len(one.causes), not one.finished)))
    return found


def _earlier_runs(store: Path, name: str, planned: set[str]) -> dict[tuple[str, int], list[RunLog]]:
    """Return the earlier runs of a study, the newest first, by cell and seed."""
    found: dict[tuple[str, int], list[RunLog]] = {}
    for study_file in reversed(_study_files(store, name, searches=False)):
        for run in reversed(study_file.runs):
            if run.key not in planned and (log := _trained(store, run.key)) is not None:
                found.setdefault((run.cell, run.seed), []).append(log)
    return found


def _has_settings(log: RunLog, planned: PlannedRun) -> bool:
    """Return whether a run had the settings and the seed of a planned run."""
    return not any(_settings(log.start["config"], planned.start["config"]))


def _study_files(store: Path, name: str, searches: bool) -> list[StudyFile]:
    files = read_study_files(store) if store.is_dir() else []
    return [file for file in files if file.name == name and file.is_search == searches]


def _trained(store: Path, key: str) -> RunLog | None:
    """Return the log of a run that has finished, or has completed an epoch and would be resumed; None otherwise."""
    path = Store(store).log(key)
    log = read(path) if path.exists() else None
    if log is None or "config" not in log.start or not (log.state in FINAL_STATES or log.last_epoch >= 1):
        return None
    return log


def _has_begun(store: Path, key: str) -> bool:
    path = Store(store).log(key)
    return path.exists() and read(path).last_epoch >= 0


def superseded_trials(store: Path, name: str, key: str, cells: Mapping[str, Mapping[str, Any]]) -> list[Superseded]:
    """Return the runs of the newest other search called ``name``, if search ``key`` has not begun.

    ``cells`` are the start facts of each cell's base config, with its search method among the settings.
    """
    files = _study_files(store, name, searches=True)
    if not files or any(file.key == key for file in files):
        return []
    settings = {cell["name"]: cell for cell in files[-1].cells}
    found = []
    for run in files[-1].runs:
        log = _trained(store, run.key)
        if log is not None and log.state != "stopped" and run.cell in cells:  # early stopping ended that trial
            base = {"config": search_settings(files[-1].to_json(), settings[run.cell])}
            found.append(_compared(log, cells[run.cell], base))
    return found


def search_settings(space: Mapping[str, Any], cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a search's cell: its base config, its parameters and the method, as plain JSON data."""
    method = {name: space[name] for name in ("sampler", "stopping", "seed", "seeds")}
    settings = {**cell["config"], "params": cell["params"], "search": method}
    plain: dict[str, Any] = json.loads(json.dumps(settings))  # tuples as lists, as in a study file
    return plain


def _compared(log: RunLog, now: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> Superseded:
    """Compare a run with the facts of the one that repeats it. ``base`` replaces the run's own settings."""
    settings = dict(_settings((base or log.start)["config"], now["config"]))
    causes = [*_images(log.start, now), *_code(log.start, now)]
    causes += [f"settings have changed ({_listed(settings)})"] if settings else []
    seconds = sum(span.end - span.begin for span in log.spans) / 1000
    return Superseded(
        seconds, tuple(causes) or ("nowt or a file has changed",), tuple(settings), log.state in FINAL_STATES
    )


def _images(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    if "code" in before and before["fingerprint"] != now["fingerprint"]:
        folders = _class_folders(before.get("class_folders", ()), now.get("class_folders", ()))
        yield f"the class folders have changed ({folders})" if folders else "the images have changed"


def _class_folders(before: Sequence[str], now: Sequence[str]) -> str:
    """Return which class folders were added and removed; empty if none was, or if a log does not name them."""
    if not (before and now):
        return ""
    kinds = {"added": sorted({*now} - {*before}), "removed": sorted({*before} - {*now})}
    return "; ".join(f"{kind}: {_some(names)}" for kind, names in kinds.items() if names)


def _code(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    if "code" not in before:  # a log from before it was recorded
        yield NOWT[1]
        return
    changed = {part for part, identity in now["code"].items() if before["code"].get(part) != identity}
    for part in ("rule", "model"):
        name, was = now["config"][part]["name"], before["config"][part]["name"]
        if part == "model" and any(each["path"] == "model.name" for each in now["config"].get("params", ())):
            changed.discard(part)  # a trial's model is not that of the base config
        elif part in changed and is_file_spec(name) and is_file_spec(was):
            changed.remove(part)
            yield f"{split_spec(file_label(name))[0]} or a module that it imports has changed"
        elif name != was:
            changed.discard(part)  # another setting
    if changed - {"model"}:
        yield NOWT[0]


def _settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each setting that differs, with both values as text."""
    flat = flatten(before)
    for path, value in flatten(now).items():
        was = flat.get(path, value)  # an earlier version may not have had the setting
        files = path in FILES and is_file_spec(str(value)) and is_file_spec(str(was))
        if was != value and not files:
            yield path, f"{path} {was}, now {value}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _listed(settings: Mapping[str, str]) -> str:
    more = f" and {len(settings) - SHOWN} more" if len(settings) > SHOWN else ""
    return "; ".join(list(settings.values())[:SHOWN]) + more


def with_earlier_seeds(study: Study, store: Path) -> Study:
    """Return the study with the seeds of earlier commands, too: if images have changed, runs with these seeds no longer
    count either, although a command with other seeds does not repeat them."""
    path = Store(store).study_file(study.key)
    earlier = [run.seed for run in read_study_file(path).runs] if path.exists() else []
    return replace(study, seeds=tuple(dict.fromkeys((*study.seeds, *earlier))))


def describe_others(study: Study, store: Path, others: Sequence[PlannedRun]) -> str:
    """Return a sentence about runs with seeds that this command does not repeat; empty if all of them count."""
    return describe(f"{study.name} with other seeds", superseded_runs(store, study.name, others))


def describe(name: str, found: Sequence[Superseded]) -> str:
    """Return a sentence about runs that no longer count; empty if there are none."""
    if not found:
        return ""
    counts = Counter(cause for one in found for cause in one.causes)
    causes = [f"{cause} ({counted(n, 'run')})" if n < len(found) else cause for cause, n in counts.items()]
    finished = sum(one.finished for one in found)
    kinds = [f"{n} {kind}" for n, kind in ((finished, "finished"), (len(found) - finished, "unfinished")) if n]
    runs = f"{' and '.join(kinds)} run{'s' * (len(found) > 1)} of {name}"
    verb = "count" if len(found) > 1 else "counts"
    line = f"{runs} ({_duration(sum(one.seconds for one in found))} of work) no longer {verb}: {', '.join(causes)}"
    return f"{line}. {UPGRADE}" if set(NOWT) & counts.keys() else line


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} hours"


def needs_redo(found: Sequence[Superseded], chosen: Sequence[str] = ()) -> bool:
    """Return whether more than a minute of work would be repeated. Runs of ``chosen`` settings do not count."""
    return sum(one.seconds for one in found if not one.is_chosen(chosen)) > FREE_SECONDS


def check_superseded(
    name: str, found: Sequence[Superseded], options: ExecutionOptions, echo: Callable[[str], None]
) -> None:
    """Print which runs no longer count. Raises ConfigError if more than a minute of work would be repeated
    without ``--redo``; runs whose settings this command names do not need it."""
    line = describe(name, found)
    if not options.redo and needs_redo(found, options.chosen):
        raise ConfigError(f"{line}. Give --redo to train again, or undo the change")
    if line:
        echo(line)
