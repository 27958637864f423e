"""Whether a store's Optuna database can be read by the installed Optuna."""

from collections.abc import Iterator
from pathlib import Path


def schema_problem(path: Path) -> Iterator[str]:
    """One sentence where the database at ``path`` is damaged or was written by another version of Optuna."""
    from optuna.exceptions import OptunaError
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    url = f"sqlite:///{path.resolve()}"
    try:
        storage = RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
        there, head = storage.get_current_version(), storage.get_head_version()
    except (OptunaError, SQLAlchemyError, AssertionError) as error:
        yield f"{path} is no Optuna database ({str(error).splitlines()[0]}): put back a copy, or move it away"
        return
    if there != head:
        yield f"{path} is of another Optuna ({there}, not {head}): optuna storage upgrade --storage {url}"
