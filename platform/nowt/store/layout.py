"""The layout of a store: the path of each of its files."""

import re
from dataclasses import dataclass
from pathlib import Path

from nowt.core.errors import require
from nowt.core.formatting import is_one_line
from nowt.store.names import LONGEST, METRIC_NAME

PLAIN = re.compile(r"[^./\\][^/\\]*")


def is_plain(name: str) -> bool:
    """Return whether ``name`` can be part of a file name: it has no slashes or control characters, and does not begin
    with a dot. What is read from a file must also be a name that nowt writes (``nowt.store.names``)."""
    return bool(PLAIN.fullmatch(name)) and is_one_line(name) and len(name.encode()) <= LONGEST


def _plain(key: str) -> str:
    require(is_plain(key), f"{key!r} is not a key: it must have no slashes and not begin with a dot")
    return key


@dataclass(frozen=True)
class Store:
    """The files of the store in folder ``path``. Nothing is read, and no folder is created."""

    path: Path

    @property
    def logs(self) -> Path:
        """The folder of the epoch logs."""
        return self.path / "logs"

    def log(self, key: str) -> Path:
        """Return the path of the epoch log of run ``key``."""
        return self.logs / f"{_plain(key)}.jsonl"

    def log_files(self) -> list[Path]:
        """Return the paths of all epoch logs in the store, by run key."""
        return sorted(self.logs.glob("*.jsonl"))

    @property
    def all_checkpoints(self) -> Path:
        """The folder with one folder of checkpoints per run."""
        return self.path / "checkpoints"

    def checkpoints(self, key: str) -> Path:
        """Return the folder of the checkpoints of run ``key``."""
        return self.all_checkpoints / _plain(key)

    @property
    def studies(self) -> Path:
        """The folder of the study files."""
        return self.path / "studies"

    def study_file(self, key: str) -> Path:
        """Return the file of study ``key``."""
        return self.studies / f"{_plain(key)}.json"

    def study_files(self) -> list[Path]:
        """Return the paths of all study files in the store, by study key."""
        return sorted(self.studies.glob("*.json"))

    def study_runs(self, key: str) -> Path:
        """Return the file of the runs that a search has appended since its study file was written."""
        return self.studies / f"{_plain(key)}.runs.jsonl"

    def all_study_runs(self) -> list[Path]:
        """Return the paths of all files of appended runs, by study key."""
        return sorted(self.studies.glob("*.runs.jsonl"))

    def lock(self, study: str) -> Path:
        """Return the lock file of the process that runs ``study``."""
        return self.studies / f"{_plain(study)}.lock"

    @property
    def optuna_db(self) -> Path:
        """Optuna's database, with the decisions of all searches."""
        return self.path / "optuna.db"

    @property
    def mlflow_db(self) -> Path:
        """MLflow's database."""
        return self.path / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.path / "artifacts"

    @property
    def tracking_server(self) -> Path:
        """The private folder of ``nowt serve``."""
        return self.path / "keeper"

    @property
    def outboxes(self) -> Path:
        """The folder with one outbox per tracking server."""
        return self.path / "delivered"

    @property
    def certificates(self) -> Path:
        """The folder of the rules' certificates."""
        return self.path / "certificates"

    @property
    def all_probes(self) -> Path:
        """The folder with one folder of probe results per study."""
        return self.path / "probes"

    def probes(self, study: str) -> Path:
        """Return the folder of the probe results of study ``study``."""
        return self.all_probes / _plain(study)

    def probe(self, study: str, metric: str) -> Path:
        """Return the results file of one probe metric for study ``study``."""
        require(METRIC_NAME.matches(metric), f"{metric!r} cannot name the results of a metric: rename its function")
        return self.probes(study) / f"{metric}.jsonl"

    @property
    def frames(self) -> Path:
        """The cache of parsed epoch logs, as Parquet files."""
        return self.path / "frames"

    @property
    def cache(self) -> Path:
        """The cache of decoded images."""
        return self.path / "cache"

    def digests(self, key: str) -> Path:
        """Return the table of content digests of the image folder ``key``."""
        return self.cache / f"{_plain(key)}.digests.npz"

    @property
    def pull_folder(self) -> Path:
        """The folder with one copy per store that ``nowt pull`` read over ssh."""
        return self.path / "pulled"

    @property
    def earlier(self) -> Path:
        """The folder of the logs and study files as they were before ``nowt upgrade``."""
        return self.path / "earlier"

    @property
    def identity(self) -> Path:
        """The identity that tells this store's backups from those of other stores."""
        return self.path / "copy.json"
