"""Writes the new keys of runs, and the new fingerprints of their images, to Optuna's storage."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import optuna
from optuna.storages import RDBStorage

from nowt.core.urls import sqlite_url
from nowt.store.layout import Store
from nowt.store.study_file import StudyFile, read_study_files
from nowt.studies.search.database import open_database, storage_errors, storage_label
from nowt.studies.search.optuna_internals import engine, replace_attribute
from nowt.studies.search.storage_lock import exclusive_lock
from nowt.studies.search.trial_storage import FINGERPRINT_ATTRS


def rewrite_trials(store: Path, keys: Mapping[str, str], fingerprints: Mapping[str, str]) -> None:
    """Replace the keys of runs (old to new) and the fingerprints of images (old to new) in the searches of a store.

    Raises OSError if a storage is not accessible, ConfigError if another process runs one of the searches.
    """
    for search in read_study_files(store):
        own = Store(store.resolve()).optuna_db
        if not search.is_search or not (search.storage or own.exists()):
            continue
        url = search.storage or sqlite_url(own)
        with storage_errors(storage_label(url)), exclusive_lock(url, search.key):
            database = open_database(url)
            try:
                for name in _studies(database, search):
                    _rewrite(database, name, keys, fingerprints)
            finally:
                engine(database).dispose()


def _studies(database: RDBStorage, search: StudyFile) -> Iterator[str]:
    existing = set(optuna.get_all_study_names(database))
    return (name for cell in search.cells if (name := f"{search.key}/{cell['name']}") in existing)


def _rewrite(database: RDBStorage, name: str, keys: Mapping[str, str], fingerprints: Mapping[str, str]) -> None:
    study = optuna.load_study(study_name=name, storage=database)
    for trial in study.get_trials(deepcopy=False):
        if (key := trial.user_attrs.get("key")) in keys:
            replace_attribute(database, trial, "key", keys[key])
    stored = next((study.user_attrs[attr] for attr in FINGERPRINT_ATTRS if attr in study.user_attrs), "")
    if fingerprints.get(stored, stored) != stored:
        study.set_user_attr(FINGERPRINT_ATTRS[0], fingerprints[stored])
