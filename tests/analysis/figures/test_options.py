"""Invalid options of a report."""

from typing import Any

import pytest

from analysis.figures.options import Options


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"against": "steps"}, "--against is 'steps': it must be one of epochs, presentations, flops, seconds"),
        ({"against": "flops", "published": True}, "--published requires --against epochs, but --against is flops"),
    ],
)
def test_invalid_options_are_rejected(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Options(**given)
