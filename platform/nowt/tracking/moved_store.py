"""Corrects the places of artifacts in the MLflow database of a store that was moved or copied.

MLflow keeps absolute paths. The artifacts of a store are in its own folder, wherever that is.
"""

import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nowt.store.database_files import open_sqlite
from nowt.store.layout import Store


def correct_artifact_places(database: Path) -> None:
    """Have the experiments and runs in ``database`` name the artifacts beside it. Does nothing if they do, and if the
    database cannot be read or written here."""
    here = Store(database.resolve().parent).artifacts
    try:
        with open_sqlite(database) as connection, connection:
            found = connection.execute("SELECT experiment_id, name, artifact_location FROM experiments").fetchall()
            for experiment, name, place in found:
                if _is_elsewhere(place, name, here):
                    _move(connection, experiment, place, (here / name).as_uri())
    except sqlite3.Error:  # a store that this user cannot write; connecting to MLflow reports what is wrong otherwise
        return


def _is_elsewhere(place: str, name: str, here: Path) -> bool:
    """Return whether ``place`` is that of the experiment ``name`` in a store, but not in the one with the folder of
    artifacts ``here``, which may be reached by several paths."""
    folder = Path(unquote(urlsplit(place).path))
    if not place.startswith("file:") or folder.parts[-2:] != (here.name, name) or folder == here / name:
        return False
    return not (folder.parent.exists() and here.exists() and folder.parent.samefile(here))


def _move(connection: sqlite3.Connection, experiment: int, old: str, new: str) -> None:
    connection.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, experiment))
    connection.execute(
        "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
        "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
        (new, len(old) + 1, experiment, len(old) + 1, f"{old}/"),
    )
