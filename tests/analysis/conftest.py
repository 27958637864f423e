"""Frames that several tests of statistics, tables and text share."""

from dataclasses import replace

import pytest

from analysis.frames.study import Frames
from searchspaces import last_layer
from tests.support.synthetic_frames import frames_of, one_epoch
from tests.support.synthetic_store import rules_study


@pytest.fixture(scope="session")
def last_layers(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """fa and kp with and without an exact last layer, and bp; five seeds."""
    study = one_epoch(last_layer.study(), 5)
    kept = tuple(cell for cell in study.cells if cell.name.startswith(("bp", "fa", "kp")))
    return frames_of(tmp_path_factory.mktemp("last"), replace(study, cells=kept), layers=1)


@pytest.fixture(scope="session")
def five_rules(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Five rules with eight seeds; one run of fa diverged."""
    study = rules_study(seeds=8, epochs=2)
    return frames_of(tmp_path_factory.mktemp("five"), study, layers=1, diverged={("fa", 2): 1})
