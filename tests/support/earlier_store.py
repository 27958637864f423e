"""Stores as earlier versions of nowt wrote them: one of commit cd3d9be, and logs with the keys of that version.

``earlier_store.tar.xz`` was written by the code of commit cd3d9be: the studies ``small`` (bp and kp, seeds 0 and 1) and
``lr`` (a search of three trials), and runs of a custom rule (``quarter.py``), a custom model (``net.py``), an image
folder (``images``) and a run that diverged. Checkpoints were left out.
"""

import json
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig, config_to_json
from nowt.core.errors import ConfigError
from nowt.core.plugins import module_of
from nowt.data.earlier import DataIdentity, identify
from nowt.store.layout import Store
from nowt.store.records import Epoch, Layer, RunLog
from nowt.store.run_log import LogWriter, read_all
from nowt.studies.upgrade.earlier_key import earlier_run_key
from nowt.studies.upgrade.run import upgrade

ARCHIVE = Path(__file__).with_name("earlier_store.tar.xz")

LAYERS = (Layer("first", 0, 80.0, 70.0, 1.0), Layer("last", 1, 60.0, 0.0, 1.0))


def unpack(folder: Path) -> Path:
    """Unpack the store of commit cd3d9be to ``folder``, beside its images and custom files, and return its path."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 of Debian 12 has no filters
        archive.extractall(folder)
    return folder / "runs"


def epoch(number: int, loss: float = 1.0, layers: tuple[Layer, ...] = ()) -> Epoch:
    """An epoch with these numbers."""
    return Epoch(number, number, 0.1, 1.0, 0.5, loss, 0.5, 1.0, 0.5, 64 * number, 0, 100.0, 1.0, 0.1, layers)


def write_earlier_run(
    store: Path,
    config: RunConfig,
    data: DataIdentity | None = None,
    epochs: tuple[Epoch, ...] = (epoch(0), epoch(1)),
    state: str = "finished",
    key: str = "",
    **facts: Any,
) -> str:
    """Write the log of a run as commit cd3d9be did, and return its key."""
    found = data or identify(config.data, Placement())
    key = key or earlier_run_key(config, found.earlier)
    start = {"config": config_to_json(config), "fingerprint": found.earlier, "classes": found.classes, "training": 100}
    start |= {"skipped": [], "not_replaced": [], "certificate": "", "git": {"commit": "", "dirty": False}, **facts}
    writer = LogWriter.open(store, key)
    writer.start(key, **start, versions={"nowt": "0.1.0"})
    for each in epochs:
        writer.epoch(each)
    if state != "running":
        writer.end(state)
    return key


def first_line(store: Path, key: str) -> dict[str, Any]:
    """The first line of a run's log."""
    found: dict[str, Any] = json.loads(Store(store).log(key).read_text().partition("\n")[0])
    return found


def upgraded(store: Path, data: str = "images", dry_run: bool = False) -> list[str]:
    """Upgrade the store, and return what is printed."""
    lines: list[str] = []
    for code in filter(Path.is_file, map(Path, ("quarter.py", "net.py"))):
        with suppress(ConfigError):  # written for an earlier version
            module_of(str(code))  # as --code does
    upgrade(Placement(store=str(store), data=data, loaders=1), lines.append, dry_run)
    return lines


def by_model_rule_seed(store: Path) -> dict[str, RunLog]:
    """The runs of the store by model, rule, data set, seed and learning rate."""
    found = {}
    for run in read_all(store):
        config = run.start["config"]
        parts = (Path(config["model"]["name"]).name, Path(config["rule"]["name"]).name, config["data"]["name"])
        found[f"{' '.join(parts)} {config['seed']} {config['optim']['lr']}"] = run
    return found


def files(store: Path) -> dict[str, bytes]:
    """The content of every file except databases, caches and locks."""
    kinds = (".jsonl", ".json", ".pt")
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.suffix in kinds}
