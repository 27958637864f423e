"""The parts of a new store that take seconds to create, so that a test process creates each of them only once."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nowt.evaluation.certify import run
from nowt.evaluation.certify.certificate import Certificate
from nowt.rules.base import Rule
from nowt.tracking import database
from tests.support.certificates import certificate_of


@contextmanager
def created_once(empty: Path) -> Iterator[None]:
    """Until the end of the context, new stores get a copy of the database ``empty`` and certificates made before."""

    def copy(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(empty, path)

    def certify_into(store: Path, rule: Rule) -> Certificate:
        return run._write(certificate_of(rule), run.certificate_path(store, rule))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_create", copy)
        patch.setattr(run, "certify_into", certify_into)
        yield
