"""Sentences about the audited steps of a study's custom rules: how many there were, and what they may have missed."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nowt.core.formatting import counted
from nowt.store.audits import chances_in_words
from nowt.store.files import read_plain_file
from nowt.store.layout import Store
from nowt.store.records import RunLog
from nowt.store.run_log import read, read_start


def audit_notes(store: Path, keys: Sequence[str]) -> list[str]:
    """Return one sentence for each custom rule of these runs, and for each rule with audited steps."""
    paths = [path for key in dict.fromkeys(keys) if (path := Store(store).log(key)).is_file()]
    runs = dict[str, list[RunLog]]()
    for path in paths:
        if _has_audits(path):
            with suppress(ValueError):  # the report names an invalid log elsewhere
                run = read(path)
                runs.setdefault(_rule_of(run), []).append(run)
    return [_sentence(rule, found) for rule, found in runs.items()]


def _has_audits(path: Path) -> bool:
    """Return whether the run's rule is custom, or was audited; most logs need not be parsed."""
    return bool(read_start(path).get("rule_name")) or b'"kind": "audit"' in read_plain_file(path)


def _rule_of(run: RunLog) -> str:
    return run.rule_name or str(run.start["config"]["rule"]["name"])


def _sentence(rule: str, runs: Sequence[RunLog]) -> str:
    declared = [(run, audit.declares) for run in runs for audit in run.audits if audit.declares]
    if not declared:
        return _found(rule, runs)
    others = [run for run in runs if not any(audit.declares for audit in run.audits)]
    signal, which = declared[0][1], counted(len({run.key for run, _ in declared}), "run")
    text = f"Rule {rule}: {which} not audited, since the rule declares there that it reads W (signal {signal})."
    return f"{text} {_found(rule, others)}" if others else text


def _found(rule: str, runs: Sequence[RunLog]) -> str:
    steps = [audit for run in runs for audit in run.audits if audit.step > 0 and audit.examined]
    if not any(run.audits for run in runs):
        return f"Rule {rule}: no step was audited."
    done = f"Rule {rule}: work before learning and {counted(len(steps), 'step')} of {counted(len(runs), 'run')} audited"
    found = [f"run {run.key}, {run.reason}" for run in runs for audit in run.audits if audit.problem]
    if found:
        return f"{done}; {'; '.join(found)}."
    if not steps:
        return f"{done}: no step could be examined, so nothing is known of what the rule reads.{_start(runs)}"
    text = f"{done}, no read of W found. A rule is missed that reads W in {chances_in_words(len(steps))}."
    return text + _start(runs)


def _start(runs: Sequence[RunLog]) -> str:
    """Return how near to W B starts, since a rule may declare an angle; empty if no B has the shape of W."""
    cosines = [abs(value) for run in runs for audit in run.audits for value in audit.cosines.values()]
    return f" At the start, |cos(B, W)| is at most {max(cosines):.2f}." if cosines else ""
