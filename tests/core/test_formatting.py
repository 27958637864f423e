"""Numbers in messages agree with their nouns."""

import numpy as np

from nowt.core.formatting import counted


def test_the_noun_is_singular_for_1_alone() -> None:
    assert [counted(number, "run") for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert [counted(text, "point") for text in ("0.5", "1", "1.0")] == ["0.5 points", "1 point", "1.0 points"]


def test_irregular_plurals_large_numbers_and_numbers_of_numpy() -> None:
    assert counted(2, "study", "studies") == "2 studies" and counted(1, "study", "studies") == "1 study"
    assert counted(1_281_167, "image") == "1,281,167 images"
    assert counted(np.int64(1), "image") == "1 image"
