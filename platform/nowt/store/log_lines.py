"""The lines of an epoch log: their fields and types.

``nowt.store.run_log`` and ``analysis.frames.store.log_reader`` read them. A line that is JSON but has other fields or
types is refused: its numbers would otherwise be wrong, or raise an error far from the file.
"""

from itertools import product, repeat
from operator import itemgetter
from typing import Any, get_args

from nowt.core.errors import UserError
from nowt.store.json_types import (
    BOOLEAN,
    COUNT,
    INTEGER,
    LINE,
    LIST,
    NUMBER,
    OBJECT,
    RUN,
    TEXT,
    TIME,
    Kind,
    Table,
    check_object,
    check_objects,
    each,
    one_of,
    shown,
    values,
)
from nowt.store.names import CERTIFICATE
from nowt.store.records import IMAGE_FIELDS, SCHEMA, State

CERTIFICATE_OR_EMPTY = Kind(f"{CERTIFICATE.noun}, or empty", lambda value: value == "" or CERTIFICATE.matches(value))

CLASSES = Kind("a whole number from 1, or null", lambda value: value is None or (INTEGER.accepts(value) and value > 0))

STATE = one_of(*(state for state in get_args(State) if state not in ("missing", "running")))

MEASURE = NUMBER.or_null()  # undefined numbers are null

CONFIG: Table = {
    "rule": {"name": LINE},
    "model": {"name": LINE},
    "data": {"name": LINE},
    "seed": INTEGER,
    "epochs": COUNT,
}

LAYER: Table = {
    "name": TEXT,  # a module may have any name
    "depth": INTEGER,
    "matrix_angle": MEASURE,
    "delta_angle": MEASURE,
    "norm_ratio": MEASURE,
    "through_feedback": BOOLEAN.or_null(),
}

LAYER_FIELDS = tuple(name for name in LAYER if name != "through_feedback")  # earlier versions did not log that one

EPOCH: Table = {
    "epoch": COUNT,
    "step": COUNT,
    "lr": MEASURE,
    "train_loss": MEASURE,
    "train_error": MEASURE,
    "val_loss": MEASURE,
    "val_error": MEASURE,
    "test_loss": MEASURE,
    "test_error": MEASURE,
    "presentations": COUNT,
    "mirror_presentations": MEASURE,
    "flops": MEASURE,
    "seconds": MEASURE,
    "probe_seconds": MEASURE,
    "layers": LIST,
    "test_correct": TEXT,
    "test_images": COUNT,
}

EPOCH_FIELDS = tuple(name for name in EPOCH if name not in IMAGE_FIELDS)

# of a line of any kind
ANY: Table = {"kind": TEXT, "schema": INTEGER, "time": TIME, "machines": values(COUNT), "workers": COUNT}

START: Table = {
    "key": TEXT,  # that of the file
    "config": CONFIG,
    "rule_name": LINE,
    "fingerprint": LINE,
    "images": LINE,
    "classes": CLASSES,
    "training": COUNT,
    "validation": COUNT,
    "test": COUNT,
    "certificate": CERTIFICATE_OR_EMPTY,
    "code": OBJECT,
    "versions": values(LINE),
    "git": {"commit": LINE, "dirty": BOOLEAN},
    "skipped": each(TEXT),
    "class_folders": each(TEXT),
    "copies": TEXT,
    "not_replaced": each(TEXT),
    "earlier": LIST,
}

EARLIER: Table = {"key": RUN, "fingerprint": LINE}  # the key and the fingerprint of a run before `nowt upgrade`

RESUME: Table = {"attempt": COUNT, "epoch": INTEGER, "changed": OBJECT}

AUDIT: Table = {
    "step": COUNT,
    "problem": TEXT,
    "examined": BOOLEAN,
    "change": MEASURE,
    "allowed": MEASURE,
    "where": TEXT,
    "moved": COUNT,
    "hidden": COUNT,
    "mirror": BOOLEAN,
    "law": MEASURE,
    "cosines": values(NUMBER),
}

END: Table = {"state": STATE, "reason": TEXT, "spent": {"presentations": NUMBER, "flops": NUMBER, "seconds": NUMBER}}


# A log has thousands of layers. These types are valid; the slower check finds the field that has another.
LAYER_VALUES = itemgetter(*LAYER_FIELDS)

LAYER_TYPES = set(product((str,), (int,), *repeat((float, type(None)), 3)))


def schema_of(line: Any) -> int:
    """Return the schema that the line names; the current one if it names none, or something else than a number."""
    schema = line.get("schema", SCHEMA) if isinstance(line, dict) else SCHEMA
    return schema if INTEGER.accepts(schema) else SCHEMA


def check_line(line: Any, key: str) -> dict[str, Any]:
    """Return one line of the log of run ``key`` if it is valid. A line of an unknown kind may have any fields.

    Raises ValueError that names the field.
    """
    check_object(line, ANY, ("kind", "time"))
    kind = line["kind"]
    if kind == "epoch":
        check_object(line, EPOCH, EPOCH_FIELDS)
        _check_layers(line["layers"])
    elif kind == "start":
        check_object(line, START)
        check_objects(line.get("earlier", []), EARLIER, ("key",), "earlier")
        if line.get("key", key) != key:
            raise UserError(f"it is the log of run {shown(line['key'])}")
    elif kind == "resume":
        check_object(line, RESUME, ("attempt",))
    elif kind == "audit":
        check_object(line, AUDIT, ("step",))
    elif kind == "end":
        check_object(line, END, ("state", "reason"))
    return dict(line)


def _check_layers(layers: list[Any]) -> None:
    for number, layer in enumerate(layers):
        try:
            valid = tuple(map(type, LAYER_VALUES(layer))) in LAYER_TYPES
            valid = valid and type(layer.get("through_feedback")) in (bool, type(None))
        except (KeyError, TypeError):
            valid = False
        if not valid:
            check_object(layer, LAYER, LAYER_FIELDS, f"layers[{number}].")
