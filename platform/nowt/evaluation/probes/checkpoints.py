"""The kept checkpoints of a study's runs."""

from dataclasses import dataclass
from pathlib import Path

from nowt.config.run_config import RunConfig
from nowt.config.stored_config import stored_config
from nowt.core.errors import require
from nowt.store.layout import Store
from nowt.store.run_log import read
from nowt.store.study_file import find_study_files
from nowt.training import checkpoint


@dataclass(frozen=True)
class RunCheckpoints:
    """A run with its kept checkpoints."""

    key: str
    cell: str
    config: RunConfig
    checkpoints: dict[int, Path]  # by epoch

    @property
    def name(self) -> str:
        """Cell and seed, as shown to the user."""
        return f"{self.cell} seed {self.config.seed}"


@dataclass(frozen=True)
class StudyCheckpoints:
    """The runs of a study that have kept checkpoints, ordered by seed and cell."""

    key: str
    name: str
    reference: str  # the study's reference cell
    runs: tuple[RunCheckpoints, ...]

    def reference_run(self, run: RunCheckpoints) -> RunCheckpoints | None:
        """Return the reference cell's run with the same seed; None if it has no kept checkpoint."""
        same_seed = (r for r in self.runs if r.cell == self.reference and r.config.seed == run.config.seed)
        return next(same_seed, None)


def find_checkpoints(store: Path, study: str) -> StudyCheckpoints:
    """Find the kept checkpoints of the newest study with this name or key.

    Raises:
        ConfigError: If the study does not exist, is a search, or no run has a kept checkpoint.
    """
    study_file = find_study_files(store, study)[-1]
    require(not study_file.is_search, f"{study} is a search, whose trials have different settings: probe a study")
    keys = {(run.seed, run.cell): run.key for run in study_file.runs}
    cells = [cell["name"] for cell in study_file.cells]
    order = sorted(keys, key=lambda run: (run[0], cells.index(run[1])))
    found = (_run_checkpoints(store, keys[seed, cell], cell) for seed, cell in order)
    runs = tuple(run for run in found if run is not None)
    command = f"nowt ablate {study_file.name} --keep-checkpoints all"
    require(
        bool(runs),
        f"no run of study {study_file.key} has a kept checkpoint in {store}: `{command}` keeps one per epoch",
    )
    return StudyCheckpoints(study_file.key, study_file.name, study_file.reference, runs)


def _run_checkpoints(store: Path, key: str, cell: str) -> RunCheckpoints | None:
    path = Store(store).log(key)
    if not path.exists():
        return None
    run = read(path)
    last_epoch = run.last_epoch if run.state == "finished" else None
    found = checkpoint.kept_checkpoints(Store(store).checkpoints(key), last_epoch)
    if not found:
        return None
    return RunCheckpoints(key, cell, stored_config(run.start["config"], f"run {key}"), dict(sorted(found.items())))
