"""The one line of a rejected config."""

from collections.abc import Callable

import pytest

from nowt.core.errors import ConfigError


def config_error(make: Callable[[], object]) -> str:
    """Return the message of the ConfigError that ``make`` raises, which must be one line."""
    with pytest.raises(ConfigError) as caught:
        make()
    line = str(caught.value)
    assert "\n" not in line
    return line
