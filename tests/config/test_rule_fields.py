"""Fields of a custom rule that hold other dataclasses, lists, or have no default: each value has a key of its own."""

from pathlib import Path
from typing import Any

import pytest

from nowt import find_rule
from nowt.config.run_config import RunConfig, config_from_json, config_to_json
from nowt.config.run_key import run_key
from nowt.core.errors import ConfigError
from nowt.core.plugins import load_object
from tests.core.test_source_hash import written

RULE = """
from dataclasses import dataclass, field
from typing import ClassVar
from nowt import FeedbackAlignment

@dataclass(frozen=True)
class Linear:
    rate: float = 0.5

@dataclass(frozen=True)
class Cosine:
    rate: float = 0.5

@dataclass(frozen=True)
class Mine(FeedbackAlignment):
    name: ClassVar[str] = "mine"
    schedule: Linear = field(default_factory=lambda: Linear(0.1))
    optional: Linear | None = None
    sizes: tuple[float, ...] = (1.0, 2.0)

@dataclass(frozen=True)
class Either(FeedbackAlignment):
    name: ClassVar[str] = "either"
    either: Linear | Cosine = field(default_factory=Linear)

@dataclass(frozen=True)
class Needy(FeedbackAlignment):
    name: ClassVar[str] = "needy"
    scale: float = field(kw_only=True)
"""


INIT_VAR = """
from dataclasses import InitVar, dataclass
from typing import ClassVar
from nowt import FeedbackAlignment

@dataclass(frozen=True)
class Hidden(FeedbackAlignment):
    name: ClassVar[str] = "hidden"
    gain: InitVar[float] = 1.0

    def __post_init__(self, gain: float) -> None:
        super().__post_init__()
        object.__setattr__(self, "factor", gain)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path, {"mine.py": RULE})


def key(path: Path, rule: str = "Mine", **values: Any) -> str:
    """Return the run key, which is the same after the config was written and read."""
    config = RunConfig(rule=find_rule(f"{path}:{rule}")(**values))
    again = config_from_json(config_to_json(config))
    assert again == config and run_key(again, "pixels") == run_key(config, "pixels")
    return run_key(config, "pixels")


def test_a_group_of_defaults_is_not_its_absence(path: Path) -> None:
    linear = load_object(f"{path}:Linear")
    assert len({key(path), key(path, optional=linear()), key(path, optional=linear(0.7))}) == 3


def test_a_group_of_defaults_is_not_the_rules_default(path: Path) -> None:
    linear = load_object(f"{path}:Linear")
    assert key(path, schedule=linear()) != key(path) == key(path, schedule=linear(0.1))


def test_a_field_that_may_hold_several_classes_is_rejected(path: Path) -> None:
    """A log holds the values of a group, not its class."""
    with pytest.raises(ConfigError, match=r"rule\.either is a Cosine, and its type is Linear or Cosine: a field that"):
        RunConfig(rule=find_rule(f"{path}:Either")(either=load_object(f"{path}:Cosine")()))


def test_a_list_is_the_tuple_of_its_values(path: Path) -> None:
    assert key(path, sizes=[1.0, 2.0]) == key(path) != key(path, sizes=[1.0, 3.0])


def test_a_field_without_a_default_is_in_the_key(path: Path) -> None:
    assert key(path, "Needy", scale=1) == key(path, "Needy", scale=1.0) != key(path, "Needy", scale=2.0)


def test_an_init_var_which_no_key_would_contain_is_refused(tmp_path: Path) -> None:
    rule = find_rule(str(written(tmp_path, {"hidden.py": INIT_VAR})))
    with pytest.raises(
        ConfigError, match=r"^rule.gain is an InitVar, which is in neither .*: make it a field"
    ) as caught:
        RunConfig(rule=rule(gain=2.0))
    assert "\n" not in str(caught.value)
