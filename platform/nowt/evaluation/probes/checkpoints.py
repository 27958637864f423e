"""A study's runs with the checkpoints that they kept."""

from dataclasses import dataclass, field
from pathlib import Path

from nowt.config.run_config import RunConfig, config_from_json
from nowt.core.errors import ConfigError, nearest, require
from nowt.store.layout import Store
from nowt.store.run_log import read
from nowt.store.study_file import StudyFile, read_study_files
from nowt.training import checkpoint


@dataclass(frozen=True)
class Kept:
    """A run and its checkpoints that stay."""

    key: str
    cell: str
    config: RunConfig
    checkpoints: dict[int, Path]  # by epoch

    @property
    def name(self) -> str:
        """What it is called beside others."""
        return f"{self.cell} seed {self.config.seed}"


@dataclass(frozen=True)
class Probed:
    """What of a study can be measured."""

    key: str
    name: str
    reference: str
    runs: tuple[Kept, ...] = field(default=())  # those with a checkpoint, seed by seed

    def beside(self, run: Kept) -> Kept | None:
        """The reference cell's run of the same seed; None where it kept nothing."""
        same = (one for one in self.runs if one.cell == self.reference and one.config.seed == run.config.seed)
        return next(same, None)


def kept_by(store: Path, wanted: str) -> Probed:
    """The newest study of that name, or of that key. Raises ConfigError for an unknown one, for a search, and where no
    run has kept a checkpoint."""
    study_file = _study_file(store, wanted)
    runs = {(run.seed, run.cell): run.key for run in study_file.runs}
    cells = [cell["name"] for cell in study_file.cells]
    order = sorted(runs, key=lambda run: (run[0], cells.index(run[1])))
    found = (_kept(store, runs[seed, cell], cell) for seed, cell in order)
    kept = tuple(run for run in found if run is not None)
    again = f"nowt ablate {study_file.name} --keep-checkpoints all"
    require(
        bool(kept), f"no run of study {study_file.key} has a kept checkpoint in {store}: `{again}` keeps one each epoch"
    )
    return Probed(study_file.key, study_file.name, study_file.reference, kept)


def _study_file(store: Path, wanted: str) -> StudyFile:
    study_files = read_study_files(store)
    named = [study_file for study_file in study_files if wanted in (study_file.name, study_file.key)]
    if not named:
        names = sorted({study_file.name for study_file in study_files if not study_file.is_search})
        there = f"; it has: {', '.join(names)}" if names else ": nowt ablate STUDY makes one"
        raise ConfigError(f"store {store} has no study {wanted!r}{nearest(wanted, names)}{there}")
    require(not named[-1].is_search, f"{wanted} is a search, whose trials differ in their settings: probe a study")
    return named[-1]


def _kept(store: Path, key: str, cell: str) -> Kept | None:
    path = Store(store).log(key)
    if not path.exists():
        return None
    run = read(path)
    found = checkpoint.kept_checkpoints(
        Store(store).checkpoints(key), run.last_epoch if run.state == "finished" else None
    )
    return Kept(key, cell, config_from_json(run.start["config"]), dict(sorted(found.items()))) if found else None
