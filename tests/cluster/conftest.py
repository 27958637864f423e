"""The hosts of a test, deselected unless NOWT_CLUSTER is set, as ``make cluster-test`` does."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import needs
import pytest
import sshd
from bridge import World
from hosts import Host
from lab import Lab

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out of every other command."""
    if os.environ.get("NOWT_CLUSTER"):
        return
    out = [item for item in items if HERE in item.path.parents]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Hosts that can be entered from the laptop; nothing of them is left afterwards, whatever happens."""
    if reason := needs.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("lab")
    (folder / "shared").mkdir()
    with ExitStack() as stack:
        world = stack.enter_context(closing(World()))

        def host(name: str) -> Host:
            return stack.enter_context(closing(Host(world, name, folder / name, folder / "shared")))

        made = Lab(world, host("head"), host("one"), host("two"), host("laptop"), folder / "shared")
        public = sshd.make_key(made.laptop)
        for each in made.cluster:
            sshd.listen(each, public)
            sshd.give_environment(each)
        yield made
