"""The names of the files that nowt writes into a store. Only these are accepted where a name becomes a path.

Logs, study files, backups and buckets may have been written by somebody else. A name that is read from one of them, or
from the listing of a folder or a bucket, must match one of these patterns completely.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LONGEST = 200  # bytes of a name, so that a suffix still fits into a file name

RUN = r"[0-9a-f]{12}"

STUDY = r"[\w-][\w .+=-]*-[0-9a-f]{8}"

METRIC = r"\w[\w.-]*"

STUDY_FILES = rf"studies/{STUDY}\.(json|runs\.jsonl)"


@dataclass(frozen=True)
class NamePattern:
    """What a kind of name looks like: how messages call it, with an example, and its pattern."""

    noun: str
    pattern: str

    def matches(self, name: object) -> bool:
        """Return whether ``name`` is such a name: text that the whole pattern matches, and not too long."""
        if not isinstance(name, str) or not re.fullmatch(self.pattern, name):
            return False
        return all(len(part.encode(errors="replace")) <= LONGEST for part in name.split("/"))


RUN_KEY = NamePattern("a run key (12 hexadecimal digits)", RUN)

STUDY_KEY = NamePattern("a study key (such as rules_on_digits-1a2b3c4d)", STUDY)

CERTIFICATE = NamePattern("the name of a certificate", r"certificate-\w[\w .+=-]*\.json")

STEP_CHECKPOINT = NamePattern("a checkpoint (such as step-000000012.pt)", r"step-[0-9]{9,12}\.pt")

CHECKPOINT = NamePattern("a checkpoint (such as epoch-000010.pt)", r"(step-[0-9]{9,12}|epoch-[0-9]{6,9})\.pt")

METRIC_NAME = NamePattern("the name of a metric", METRIC)

CACHE_FILE = NamePattern("a file of the cache", r"(logs|epochs|layers)-[0-9a-f]{32}\.parquet")

REPORT_FILE = NamePattern("a file of a report", r"\w[\w.-]*")

# of a store's backup: the files that `nowt restore` writes
RESTORED = NamePattern(
    "a file of a backup",
    rf"optuna\.db|logs/{RUN}\.jsonl|{STUDY_FILES}|certificates/{CERTIFICATE.pattern}|earlier/unfinished\.json"
    rf"|earlier/(optuna\.db|logs/{RUN}\.jsonl|{STUDY_FILES}|probes/{STUDY}/{METRIC}\.jsonl)",
)

# of the database and the files of `nowt serve`, which it trusts
SERVER = NamePattern("a file of nowt serve", r"keeper/mlflow\.db|keeper/artifacts/(\w[\w.-]*/)*\w[\w .+=()-]*")

# in the folder of `nowt serve`; the last suffixes are of a file that is being written, and of one that NFS still needs
KEEPER_FILE = NamePattern(
    "a file of nowt serve",
    r"((credentials|signing-key|server\.log|(ui-)?auth\.ini|((ui-)?auth|mlflow)\.db(-wal|-shm|-journal)?)"
    r"(\.[\w.-]+\.tmp)?|artifacts|\.nfs[0-9a-f]+)",
)

# of MLflow, which earlier versions backed up, and which is rebuilt from the logs
REBUILT = NamePattern("a file of MLflow", r"mlflow\.db|artifacts/.+")


def stray_link(root: Path, paths: Iterable[Path]) -> Path | None:
    """Return the first of ``paths`` that is, or lies behind, a link out of the folder ``root``; None if none is."""
    inside = os.path.realpath(root)
    for path in paths:
        if os.path.commonpath([inside, os.path.realpath(path)]) != inside:
            return path
    return None
