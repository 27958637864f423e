"""From Arrow tables of epochs and layers to frames that also say whose each row is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from analysis.frames.schema import checked

Places = npt.NDArray[np.int64]


def frame_of(table: Any, place: Places, runs: pd.DataFrame, declared: Mapping[str, str]) -> pd.DataFrame:
    """The declared columns as a frame: those of the table, and of ``runs`` those that the table does not have.

    ``place`` is the row of ``runs`` that each row of the table belongs to.
    """
    its_own = set(table.schema.names)
    found = {name: _plain(table[name]) if name in its_own else _spread(runs[name], place) for name in declared}
    return checked(pa.table(found).to_pandas(), declared)


def _spread(column: "pd.Series[Any]", place: Places) -> Any:
    """The column's value for each row."""
    if column.dtype == "str":
        texts = pa.DictionaryArray.from_arrays(pa.array(place, pa.int32()), pa.array(list(column), pa.string()))
        return texts.cast(pa.large_string())
    return pa.array(column.to_numpy()[place])


def _plain(column: Any) -> Any:
    """The column; texts that rows share as plain ones, which is what pandas keeps."""
    return column.combine_chunks().cast(pa.large_string()) if pa.types.is_dictionary(column.type) else column
