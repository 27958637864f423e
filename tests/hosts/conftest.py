"""Selection of these tests: `make check` runs only the smoke test, `make cluster-test` (NOWT_CLUSTER=1) all others."""

import os
from pathlib import Path

import pytest

from tests.hosts import requirements

HERE = Path(__file__).parent

SMOKE = HERE / "test_smoke.py"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that this command does not run."""
    cluster_test = bool(os.environ.get("NOWT_CLUSTER"))
    deselected = [item for item in items if HERE in item.path.parents and (item.path == SMOKE) == cluster_test]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in deselected]


@pytest.fixture(scope="module")
def testbed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder for a testbed. Skips or fails on a machine that does not meet the requirements."""
    if reason := requirements.missing():
        if os.environ.get("NOWT_CLUSTER"):  # a skip would look like success
            pytest.fail(reason)
        pytest.skip(reason)
    return tmp_path_factory.mktemp("testbed")
