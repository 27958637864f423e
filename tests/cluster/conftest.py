"""These tests are deselected unless NOWT_CLUSTER is set, as ``make cluster-test`` does."""

import os
from pathlib import Path

import needs
import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out of every other command."""
    if os.environ.get("NOWT_CLUSTER"):
        return
    out = [item for item in items if HERE in item.path.parents]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a lab, on a machine that can have one."""
    if reason := needs.missing():
        pytest.skip(reason)
    return tmp_path_factory.mktemp("lab")
