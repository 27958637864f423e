"""The fields of a study file and their types."""

from typing import Any

from nowt.store.json_types import (
    BOOLEAN,
    COUNT,
    INTEGER,
    LINE,
    NAME,
    NUMBER,
    OBJECT,
    STUDY,
    TEXT,
    Kind,
    Table,
    check_object,
    check_objects,
    each,
)
from nowt.store.log_lines import CONFIG

REQUIRED = {"key", "name", "question", "reference", "seeds", "created", "runs"}

EPOCHS = Kind("text or a list of whole numbers", lambda value: TEXT.accepts(value) or each(COUNT).accepts(value))

BOOLEAN_OR_TEXT = Kind("true, false or text", lambda value: BOOLEAN.accepts(value) or TEXT.accepts(value))

TYPES: Table = {
    "schema": INTEGER,
    "key": STUDY,
    "name": NAME,
    "question": TEXT,
    "reference": LINE,
    "seeds": each(INTEGER),
    "created": COUNT,
    "started": COUNT,
    "keep": EPOCHS,
    "seed": INTEGER,
    "sampler": LINE,
    "stopping": {"kind": LINE},
    "budget": {"amount": NUMBER, "unit": LINE},
    "confirm": {"settings": COUNT, "seeds": COUNT, "pick_seeds": COUNT.or_null(), "test": BOOLEAN_OR_TEXT},
    "claim": {"cells": each(LINE), "margin": NUMBER, "max_delta_angle": NUMBER.or_null()},
    "claimed": COUNT,
    "claimed_seeds": each(INTEGER),
    "search": STUDY,
    "storage": LINE,
    "runs": each(OBJECT),
}

CELL_TYPES: Table = {"name": LINE, "config": CONFIG, "params": each(OBJECT)}


def check_study(data: Any) -> None:
    """Raise ValueError, naming the field, if ``data`` lacks a field of a study file or has one of another type."""
    check_object(data, TYPES, REQUIRED)
    check_objects(data.get("cells", []), CELL_TYPES, ("name", "config"), "cells")
