"""Values of a wrong type in an epoch log: its run is left out and reported, and no number is converted."""

from pathlib import Path

import pytest

from analysis.frames.store.store import read_store
from tests.support.synthetic_store import rules_study, write_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path, rules_study(names=["bp", "kp"], seeds=2, epochs=4), layers=3)
    return tmp_path


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("val_error", '"0.5"'),
        ("val_error", "true"),
        ("presentations", "1.5"),
        ("seed", '"0"'),
        ("key", '"ffffffffffff"'),
    ],
)
def test_a_value_of_a_wrong_type_is_reported_and_not_converted(store: Path, field: str, value: str) -> None:
    log = sorted((store / "logs").iterdir())[1]
    before, name, after = log.read_text().partition(f'"{field}": ')
    log.write_text(f"{before}{name}{value}{after[after.index(',') :]}")
    (problem,) = read_store(store).problems
    assert problem.startswith(f"{log}, line ") and problem.endswith("): move the file away")
    assert f"{field} is {value}" in problem or "it is the log of run" in problem
    assert len(read_store(store).runs) == 3


def test_a_separator_within_a_layers_name_does_not_end_a_line(store: Path) -> None:
    expected = read_store(store).layers
    for log in (store / "logs").iterdir():
        log.write_text(log.read_text().replace('"layer1"', '"layer\u20281\x85"'), encoding="utf-8")
    found = read_store(store).layers
    assert list(found["layer"]) == [name.replace("layer1", "layer\u20281\x85") for name in expected["layer"]]
    assert found["norm_ratio"].equals(expected["norm_ratio"])
