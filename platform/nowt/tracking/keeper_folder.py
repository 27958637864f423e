"""The private folder of ``nowt serve`` and ``nowt ui``, in which MLflow's server runs."""

import stat
from pathlib import Path

from nowt.core.errors import require
from nowt.store.database_files import check_database
from nowt.store.files import private_folder
from nowt.store.layout import Store
from nowt.store.names import KEEPER_FILE

ARTIFACTS = "artifacts"

DATABASES = ("mlflow.db", "auth.db", "ui-auth.db")


def keeper_folder(store: Path) -> Path:
    """Return the private folder of ``store``, which is created if it is missing.

    Raises ConfigError as ``private_folder`` does, and for a folder with anything that neither nowt nor MLflow writes:
    the store may be somebody else's, and the server trusts the folder.
    """
    folder = private_folder(Store(store).tracking_server)
    for path in sorted(folder.iterdir()):
        require(KEEPER_FILE.matches(path.name), f"{path} is not named as {KEEPER_FILE.noun}: move it out of the folder")
        mode = path.lstat().st_mode
        require(not stat.S_ISLNK(mode), f"{path} is a link: replace it with a copy of what it names")
        kind, is_kind = ("folder", stat.S_ISDIR) if path.name == ARTIFACTS else ("file", stat.S_ISREG)
        require(is_kind(mode), f"{path} is not a {kind}: move it out of the store")
    for name in DATABASES:
        check_database(folder / name)
    return folder
