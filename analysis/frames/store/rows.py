"""Converts Arrow tables of epochs and layers to frames that include columns of the run."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from analysis.frames.schema import enforce_schema

Places = npt.NDArray[np.int64]


def frame_of(table: Any, place: Places, runs: pd.DataFrame, declared: Mapping[str, str]) -> pd.DataFrame:
    """Return the declared columns as a frame, from the table or, if it lacks them, from ``runs``.

    ``place`` gives, for each row of the table, the row of ``runs`` to which it belongs.
    """
    its_own = set(table.schema.names)
    found = {name: _plain(table[name]) if name in its_own else _spread(runs[name], place) for name in declared}
    return enforce_schema(pa.table(found).to_pandas(), declared)


def _spread(column: "pd.Series[Any]", place: Places) -> Any:
    """Return the column's value for each row."""
    if column.dtype == "str":
        texts = pa.DictionaryArray.from_arrays(pa.array(place, pa.int32()), pa.array(list(column), pa.string()))
        return texts.cast(pa.large_string())
    return pa.array(column.to_numpy()[place])


def _plain(column: Any) -> Any:
    """Return the column, with dictionary-encoded text as plain text."""
    return column.combine_chunks().cast(pa.large_string()) if pa.types.is_dictionary(column.type) else column
