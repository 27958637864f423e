"""The types of JSON data: what each accepts, and errors that name the field."""

from typing import Any

import pytest

from nowt.store.json_types import (
    BOOLEAN,
    COUNT,
    INTEGER,
    NAME,
    NUMBER,
    OBJECT,
    TEXT,
    Kind,
    check_object,
    check_objects,
    each,
    known_fields,
    shown,
    values,
)

SAMPLES: tuple[Any, ...] = (None, True, -1, 0, 2.5, "", "a", "../a", [], [1], ["a"], {}, {"a": 1})

ACCEPTED: list[tuple[Kind, tuple[Any, ...]]] = [
    (TEXT, ("", "a", "../a")),
    (NAME, ("a",)),
    (INTEGER, (-1, 0)),
    (COUNT, (0,)),
    (NUMBER, (-1, 0, 2.5)),
    (NUMBER.or_null(), (None, -1, 0, 2.5)),
    (BOOLEAN, (True,)),
    (OBJECT, ({}, {"a": 1})),
    (each(INTEGER), ([], [1])),
    (values(INTEGER), ({}, {"a": 1})),
]


@pytest.mark.parametrize(("kind", "accepted"), ACCEPTED, ids=[kind.name for kind, _ in ACCEPTED])
def test_a_type_accepts_its_values_only(kind: Kind, accepted: tuple[Any, ...]) -> None:
    assert [repr(value) for value in SAMPLES if kind.accepts(value)] == list(map(repr, accepted))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (5, "it is 5: it must be an object"),
        ({}, "it has no key, seed"),
        ({"key": "a", "seed": "x"}, 'seed is "x": it must be a whole number'),
        ({"key": "a", "seed": 0, "budget": 1}, "budget is 1: it must be an object"),
        ({"key": "a", "seed": 0, "budget": {}}, "budget has no unit"),
        ({"key": "a", "seed": 0, "budget": {"unit": None}}, "budget.unit is null: it must be text"),
    ],
)
def test_the_first_wrong_field_is_named(data: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_object(data, {"key": TEXT, "seed": INTEGER, "budget": {"unit": TEXT}}, ("key", "seed"))
    assert str(caught.value) == message


def test_fields_that_are_not_in_the_table_may_be_anything() -> None:
    data = {"key": "a", "mood": None}
    assert check_object(data, {"key": TEXT}) == data
    assert known_fields(data, {"key": TEXT}, ("key",)) == {"key": "a"}


def test_an_object_in_a_list_is_named_by_its_number() -> None:
    with pytest.raises(ValueError, match=r"^cells\[1\]\.name is 7: it must be text$"):
        check_objects([{"name": "a"}, {"name": 7}], {"name": TEXT}, ("name",), "cells")
    with pytest.raises(ValueError, match=r"^cells is \{\}: it must be a list$"):
        check_objects({}, {}, (), "cells")


def test_a_long_value_is_cut_in_messages() -> None:
    assert len(shown("x" * 1000)) == 40
