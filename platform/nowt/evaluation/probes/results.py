"""The results of probes: STORE/probes/STUDY/METRIC.jsonl, an append-only file with one line per run and epoch.

A line has ``run``, ``cell``, ``rule``, ``seed``, ``epoch``, ``metric``, ``values`` (numbers by name, null where
undefined), ``others`` (the names that are no layer's), and the settings that the numbers depend on: ``measure`` (a hash
of the metric's code), ``images`` (their number), ``split`` and ``against`` (the cell that it compares with).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nowt.core.errors import ConfigError, UserError
from nowt.core.forked_children import ForkGuard
from nowt.store.files import make_folder
from nowt.store.json_types import COUNT, INTEGER, NUMBER, TEXT, Table, check_object, each, values
from nowt.store.jsonl import append_line, complete_lines, drop_incomplete_line, json_text, parse_line
from nowt.store.layout import Store
from nowt.store.links import check_links
from nowt.store.locks import LogInUse, LogLock, describe_holder

ResultLine = dict[str, Any]

TYPES: Table = {
    "run": TEXT,
    "cell": TEXT,
    "rule": TEXT,
    "seed": INTEGER,
    "epoch": COUNT,
    "metric": TEXT,
    "values": values(NUMBER.or_null()),
    "others": each(TEXT),
    "measure": TEXT,
    "images": COUNT,
    "split": TEXT,
    "against": TEXT,
}

REQUIRED = TYPES.keys() - {"cell", "rule", "seed"}

WHOLE_NETWORK = "all"  # the name of a number that describes the whole network


@dataclass(frozen=True)
class ProbeSettings:
    """The settings that determine a metric's numbers, apart from run and epoch. The fields are the keys of a line."""

    measure: str
    images: int
    split: str
    against: str

    @classmethod
    def from_line(cls, line: ResultLine) -> "ProbeSettings":
        """Return the settings of a line."""
        return cls(**{name: line[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class ResultsFile:
    """The results file of a metric, open for one writer."""

    path: Path
    settings: ProbeSettings
    done: frozenset[tuple[str, int]]  # run and epoch of the lines with these settings
    guard: ForkGuard = field(default_factory=ForkGuard)

    def add(self, line: ResultLine) -> None:
        """Append one run and epoch. The line is on disk when this returns."""
        self.guard.check()
        append_line(self.path, json_text({**line, **asdict(self.settings)}))


@contextmanager
def open_results(store: Path, study: str, metric: str, settings: ProbeSettings) -> Iterator[ResultsFile]:
    """Open the results file of a metric, and lock it within the block.

    Raises:
        ConfigError: If another process has locked it.
    """
    check_links(store)
    path = Store(store).probe(study, metric)
    make_folder(path.parent)
    try:
        lock = LogLock(path)
    except LogInUse:
        raise ConfigError(f"{path} is being written by {describe_holder(path)}: wait for it, or stop it") from None
    drop_incomplete_line(path)
    done = {(line["run"], line["epoch"]) for line in read_results(path) if ProbeSettings.from_line(line) == settings}
    try:
        yield ResultsFile(path, settings, frozenset(done))
    finally:
        del lock  # now, and not when a traceback that refers to it is freed


def read_results(path: Path) -> list[ResultLine]:
    """Return every complete line. Raises ValueError for an invalid one, with its number."""
    lines = []
    for number, text in enumerate(complete_lines(path), 1):
        try:
            lines.append(check_object(_renamed(parse_line(text)), TYPES, REQUIRED))
        except ValueError as error:
            message = f"{path}, line {number} is not a result of nowt probe ({error}): move the file away"
            raise UserError(message) from None
    return lines


def _renamed(line: Any) -> Any:
    """Return the line with today's keys: earlier versions wrote ``pictures`` for ``images``."""
    return {"images" if name == "pictures" else name: line[name] for name in line} if isinstance(line, dict) else line
