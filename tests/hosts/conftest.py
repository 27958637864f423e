"""Of these tests, `make check` runs the smoke test alone; `make cluster-test`, which sets NOWT_CLUSTER, all others."""

import os
from pathlib import Path

import pytest

from tests.hosts import needs

HERE = Path(__file__).parent

SMOKE = HERE / "test_smoke.py"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this command is not for."""
    whole = bool(os.environ.get("NOWT_CLUSTER"))
    out = [item for item in items if HERE in item.path.parents and (item.path == SMOKE) == whole]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a lab, on a machine that can have one."""
    if reason := needs.missing():
        if os.environ.get("NOWT_CLUSTER"):  # who asks for these tests must not be told that they passed
            pytest.fail(reason)
        pytest.skip(reason)
    return tmp_path_factory.mktemp("lab")
