"""A search as its study file records it: cells, settings, sampler, budget, and the run of each trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from nowt.store.listed_runs import drop_duplicate_runs
from nowt.store.study_file import StudyFile

INDEPENDENT = ("random", "quasi_random")  # samplers whose draws do not depend on earlier trials


@dataclass(frozen=True)
class Setting:
    """A setting that a search varied: a range, or a list of choices."""

    path: str  # dotted path in the run's config
    times: str = ""  # path of the field that it was drawn as a multiple of
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    integer: bool = False
    values: tuple[Any, ...] = ()  # of a list of choices
    when: tuple[str, Any] | None = None  # path and value: the setting exists only where that field has this value

    @property
    def name(self) -> str:
        """Name of the parameter in Optuna's storage."""
        return f"{self.path}/{self.times}" if self.times else self.path

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers; other values are represented as text."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    def value_in(self, config: Mapping[str, Any]) -> float | str | None:
        """Return the setting's value in this config; None if the setting does not exist there."""
        if not config or (self.when and field(config, self.when[0]) != self.when[1]):
            return None
        found = field(config, self.path)
        if not self.numeric:
            return setting_text(found)
        return float(found / field(config, self.times)) if self.times else float(found)


@dataclass(frozen=True)
class SearchPlan:
    """A search, as its study file records it."""

    name: str
    key: str
    question: str
    created: int  # milliseconds since 1970
    sampler: str  # tpe, quasi_random, random or grid
    stopping: str  # none, halving or median
    budget: str  # of each cell, such as ``64 trials``
    cells: dict[str, dict[str, Any]]  # the base config of each cell as JSON data, in the search's order
    settings: dict[str, tuple[Setting, ...]]  # by cell
    runs: tuple[tuple[str, str, int], ...]  # run key, cell, trial number
    # trials stopped early: after which epoch, and why
    stopped: dict[tuple[str, str, int], tuple[int, str]] = dataclass_field(default_factory=dict)

    @property
    def unit(self) -> str:
        """Unit of the budget: trials, presentations, flops or seconds."""
        return self.budget.rpartition(" ")[2]

    @property
    def independent(self) -> bool:
        """Whether its trials are independent draws, and none is stopped early."""
        return self.sampler in INDEPENDENT and self.stopping == "none"


def search_plan(study_file: StudyFile) -> SearchPlan:
    """Return the plan in a study file. Raises KeyError or TypeError if it does not describe a search."""
    if study_file.sampler is None or study_file.stopping is None or study_file.budget is None:
        raise KeyError(next(name for name in ("sampler", "stopping", "budget") if getattr(study_file, name) is None))
    settings = {cell["name"]: tuple(map(_setting, cell["params"])) for cell in study_file.cells}
    listed = {(run.key, run.cell, run.trial or 0): run for run in drop_duplicate_runs(study_file.runs)}
    return SearchPlan(
        name=study_file.name,
        key=study_file.key,
        question=study_file.question,
        created=study_file.created,
        sampler=study_file.sampler,
        stopping=study_file.stopping["kind"],
        budget=f"{study_file.budget['amount']:,g} {study_file.budget['unit']}",
        cells=study_file.labelled_configs,
        settings=settings,
        runs=tuple(listed),
        stopped={trial: (run.stopped, run.reason or "") for trial, run in listed.items() if run.stopped is not None},
    )


def field(config: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path of a config."""
    value: Any = config
    for name in path.split("."):
        value = value[name]
    return value


def setting_text(value: Any) -> str:
    """Return a value as text: numbers without trailing zeros, list items separated by commas."""
    if isinstance(value, list | tuple):
        return ", ".join(map(setting_text, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _setting(param: Mapping[str, Any]) -> Setting:
    when = (param["when"]["path"], param["when"]["value"]) if param["when"] else None
    if param["kind"] == "choice":
        return Setting(param["path"], values=tuple(param["values"]), when=when)
    names = ("path", "times", "low", "high", "log", "integer")
    return Setting(**{name: param[name] for name in names}, when=when)
