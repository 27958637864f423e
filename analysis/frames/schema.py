"""Frames with declared columns: names, order and types."""

from collections.abc import Mapping

import pandas as pd

from nowt.core.errors import UserError


def enforce_schema(frame: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return ``frame`` with exactly these columns, in this order and of these types.

    Raises ValueError naming the missing columns.
    """
    missing = [name for name in columns if name not in frame]
    if missing:
        raise UserError(f"the frame has no column {', '.join(missing)}; it has: {', '.join(map(str, frame.columns))}")
    chosen = (
        frame if list(frame.columns) == list(columns) else frame[list(columns)]
    )  # selecting columns copies the frame
    return chosen.astype(dict(columns))
