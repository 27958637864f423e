"""Fixtures: stores with an MLflow database, a store with a study's report, and simulated AWS services."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.report.content import Report
from analysis.report.study import report
from nowt.tracking.database import connect
from nowt.tracking.recorder import Recorder
from nowt.tracking.report_artifacts import attach_report
from tests.support.long_modules import is_long, start_order
from tests.support.mlflow_contents import study_file_of
from tests.support.moto_cloud import KEYS, ROOT, Cloud, cloud, storage
from tests.support.store_parts import created_once
from tests.support.synthetic_store import odd_study, write_store


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long modules first, and mark them."""
    items.sort(key=lambda item: start_order(item.path))
    for item in items:
        if is_long(item.path):
            item.add_marker("long")


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an empty MLflow database: creating one takes seconds, copying it does not."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    connect(path)
    return path


@pytest.fixture(scope="session", autouse=True)
def _fast_new_stores(empty: Path) -> Iterator[None]:
    with created_once(empty):
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_disks() -> Iterator[None]:
    """What was written need not survive a power failure, and each wait for a disk takes 15 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Path:
    """A store with a space in its path and an empty MLflow database."""
    folder = tmp_path / "my runs"
    folder.mkdir()
    shutil.copy(empty, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> tuple[Path, Report]:
    """A store with a study of three rules in MLflow, to which its report is attached."""
    folder = tmp_path_factory.mktemp("reported")
    shutil.copy(empty, folder / "mlflow.db")
    study = write_store(folder, odd_study(), layers=4)
    Recorder.open(folder, study_file_of(folder, study.key))
    made = report(folder, None, folder / "figures", published=True)
    attach_report(folder, made.study, made.paths)
    return folder, made


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of a local S3 server (moto)."""
    with storage() as address:
        yield address


@pytest.fixture(scope="module")
def s3(s3_server: str) -> Iterator[str]:
    """The local S3 server, configured by environment variables."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", s3_server)
        yield s3_server


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A simulated AWS account with one bucket."""
    from ray.autoscaler._private.aws.utils import client_cache, resource_cache

    with cloud(tmp_path_factory.mktemp("aws")) as made:
        yield made
    for cache in (client_cache, resource_cache):  # else this process would go on looking for it there
        cache.cache_clear()


@pytest.fixture(scope="module")
def keys_of_aws() -> Any:
    """Shared by all tests, since loading the description of EC2 is slow."""
    import boto3

    return boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")


@pytest.fixture
def at_home(account: Cloud, keys_of_aws: Any, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """This process with the account's keys, in the folder of the repository."""
    monkeypatch.setattr("boto3.DEFAULT_SESSION", keys_of_aws)
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    return account
