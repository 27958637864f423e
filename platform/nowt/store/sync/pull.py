"""``nowt pull``: merges the runs of a store on another machine (ssh and rsync), or of a backup in a bucket.

Files that only grow are fetched with rsync, so that the next pull fetches only what is new. Optuna's database, which
may be in use, is copied by Python on its machine. Passwords, images and everything that can be rebuilt are not fetched.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from nowt.core.errors import AccessError, ConfigError, Echo
from nowt.store.existing import is_store
from nowt.store.files import write_atomically
from nowt.store.layout import Store
from nowt.store.links import check_links
from nowt.store.records import FINAL_STATES
from nowt.store.run_log import read
from nowt.store.sync.foreign import LARGEST_FILE, check_foreign_store
from nowt.store.sync.merge import Databases, merge

FOLDERS = {"logs": ("*.jsonl",), "studies": ("*.json", "*.runs.jsonl"), "certificates": ("*.json",)}

# runs on the other machine, with any Python 3: prints the database as it is at one moment
COPY = """
import os, shutil, sqlite3, sys, tempfile
source = os.path.join(sys.argv[1], "optuna.db")
if os.path.exists(source):
    with tempfile.NamedTemporaryFile() as file:
        live, copy = sqlite3.connect(source, timeout=20), sqlite3.connect(file.name)
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        copy.close()
        with open(file.name, "rb") as complete:
            shutil.copyfileobj(complete, sys.stdout.buffer)
"""


def pull(source: str, store: Path, echo: Echo, databases: Databases) -> None:
    """Merge the runs of ``HOST:STORE`` (relative to the home folder there) or ``s3://BUCKET/PREFIX`` into ``store``.

    Raises ConfigError and ValueError as ``merge`` does, OSError if the machine or the bucket cannot be reached.
    """
    if source.startswith("s3://"):
        from nowt.store.sync.restore import restore

        return restore(source, store, echo, databases, continues=False)
    check_links(store)
    host, path = _parts(source)
    folder = Store(store).pull_folder / _folder_name(host, path)
    folder.mkdir(parents=True, exist_ok=True)
    decisions = _run([*_ssh(), host, shlex.join(["python3", "-", path])], host, COPY.encode())
    only = [f"--include=/{part}/{name}" for part, names in FOLDERS.items() for name in ("", *names)]
    _rsync(["-rtz", *only, "--exclude=*", f"{host}:{path}/", f"{folder}/"], host)
    if decisions:
        write_atomically(Store(folder).optuna_db, decisions, durable=True)
    if not is_store(folder):
        raise ConfigError(
            f"there is no store at {source}: give HOST:FOLDER, with the folder relative to the home folder there"
        )
    check_foreign_store(folder, source)
    unfinished = [log.stem for log in Store(folder).log_files() if read(log).state not in FINAL_STATES]
    wanted = "".join(f"checkpoints/{key}\n" for key in unfinished).encode()
    _rsync(["-rtz", "--ignore-missing-args", "--files-from=-", f"{host}:{path}/", f"{folder}/"], host, wanted)
    merge(folder, store, echo, databases, source)
    shutil.rmtree(Store(folder).all_checkpoints, ignore_errors=True)  # large, and now in the store


def _folder_name(host: str, path: str) -> str:
    """Return the name of the copy's folder. Names with other characters have a hash, since they may look the same."""
    name = re.sub(r"[^A-Za-z0-9.@-]+", "_", f"{host}-{path}")
    unambiguous = re.fullmatch(r"[A-Za-z0-9.@/-]+", path)
    return name if unambiguous else f"{name}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


def _parts(source: str) -> tuple[str, str]:
    host, colon, path = source.partition(":")
    path = path.removeprefix("~/").rstrip("/")
    if not colon or not host or not path or host.startswith("-") or "/" in host:
        raise ConfigError(
            f"{source!r} is neither HOST:FOLDER nor s3://BUCKET/PREFIX; example: nowt pull ubuntu@203.0.113.7:runs"
        )
    return host, path


def _ssh() -> list[str]:
    return shlex.split(os.environ.get("RSYNC_RSH", "ssh"))  # rsync's own variable, so that both use the same ssh


def _rsync(args: Sequence[str], host: str, stdin: bytes = b"") -> None:
    _run(["rsync", "--protect-args", f"--max-size={LARGEST_FILE}", *args], host, stdin)


def _run(command: Sequence[str], host: str, stdin: bytes) -> bytes:
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    except FileNotFoundError:
        raise AccessError(f"{command[0]} is not installed: nowt pull needs it on this machine and on {host}") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise AccessError(f"{host} was not reached, or {command[0]} failed there: {lines[-1]}")
    return done.stdout
