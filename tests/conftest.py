"""A store with an empty record, for the tests of MLflow's side, one with a study's report, and stand-ins for AWS."""

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
from tests.support.mlflow_contents import study_file_of
from tests.support.moto_cloud import KEYS, ROOT, Cloud, cloud, storage
from tests.support.synthetic_store import odd_study, write_store


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them: making one takes seconds, copying it does not."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    connect(path)
    return path


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Path:
    """A store with a space in its name and an empty record."""
    folder = tmp_path / "my runs"
    folder.mkdir()
    shutil.copy(empty, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> tuple[Path, Report]:
    """A store with a study of three rules in MLflow, and its report beside the published curves, attached there."""
    folder = tmp_path_factory.mktemp("reported")
    shutil.copy(empty, folder / "mlflow.db")
    study = write_store(folder, odd_study(), layers=4)
    Recorder.open(folder, study_file_of(folder, study.key))
    made = report(folder, None, folder / "figures", published=True)
    attach_report(folder, made.study, made.paths)
    return folder, made


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An S3 of our own on this machine (moto's): where it answers."""
    with storage() as address:
        yield address


@pytest.fixture(scope="module")
def s3(s3_server: str) -> Iterator[str]:
    """That S3, found as AWS's tools find any."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", s3_server)
        yield s3_server


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An AWS account with one bucket, on this machine."""
    from ray.autoscaler._private.aws.utils import client_cache, resource_cache

    with cloud(tmp_path_factory.mktemp("aws")) as made:
        yield made
    for cache in (client_cache, resource_cache):  # else this process would go on looking for it there
        cache.cache_clear()


@pytest.fixture(scope="module")
def keys_of_aws() -> Any:
    """One for all tests, since it takes long to read what EC2 is."""
    import boto3

    return boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")


@pytest.fixture
def at_home(account: Cloud, keys_of_aws: Any, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """This process with the account's keys, in the repository's folder."""
    monkeypatch.setattr("boto3.DEFAULT_SESSION", keys_of_aws)
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    return account
