"""A chart that encodes a column without data is refused."""

from typing import Any

import altair as alt
import pandas as pd
import pytest

from analysis.figures.style.theme import vega_lite_spec

DATA = pd.DataFrame({"epoch": [0, 1], "mean": [0.9, 0.1]})


def chart(y: str) -> Any:
    return alt.Chart(DATA).mark_line().encode(x="epoch:Q", y=y)


def test_a_column_that_the_data_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"column 'means', which is not in its data \(did you mean mean\?\)"):
        vega_lite_spec(chart("means:Q"))
    with pytest.raises(ValueError, match="there are: epoch, mean"):
        vega_lite_spec(alt.vconcat(chart("mean:Q"), chart("mean:Q") + chart("low:Q")))


def test_columns_that_a_transform_makes_are_accepted() -> None:
    made = chart("twice:Q").transform_calculate(twice="2 * datum.mean")
    assert vega_lite_spec(alt.layer(chart("mean:Q"), made))
    folded = chart("value:Q").transform_fold(["mean"])
    assert vega_lite_spec(folded)
