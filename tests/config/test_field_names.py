"""The names of a run's fields, which are known without importing torch."""

from dataclasses import fields

import pytest

from nowt.config.field_names import FIELDS, check_path, default_paths
from nowt.config.overrides import field_paths
from nowt.config.run_config import RunConfig
from nowt.core.errors import ConfigError


def test_the_names_are_those_of_the_run_config() -> None:
    assert list(FIELDS) == [item.name for item in fields(RunConfig)]
    assert default_paths() == field_paths(RunConfig())


@pytest.mark.parametrize("path", ["epochs", "optim", "optim.weight-decay", "rule", "rule.any", "seeds.noise"])
def test_fields_sections_and_the_fields_of_any_rule_are_accepted(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("epochz", "there is no field --epochz (did you mean --epochs?); a run has: model, data, rule, optim"),
        ("optim.lrr", "there is no field --optim.lrr (did you mean --optim.lr?); optim has: name, lr, momentum"),
    ],
)
def test_a_misspelt_field_is_refused_with_the_nearest_one(path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_path(path)
    assert message in str(caught.value)
