"""Errors are told from chance by the number of images on which they were measured."""

from fractions import Fraction
from math import comb
from pathlib import Path

import pytest

from nowt.store.chance import AT_CHANCE, LEARNED, TAIL, TOO_FEW_IMAGES, judge, score_of
from nowt.store.records import NAN
from nowt.store.run_log import read
from tests.support.run_logs import FACTS, epoch, start


@pytest.mark.parametrize(
    ("hits", "images", "classes", "verdict"),
    [
        (1, 16, 10, TOO_FEW_IMAGES),
        (3, 16, 10, TOO_FEW_IMAGES),  # above the limit of 15 %, with a probability of 21 % by guessing
        (7, 16, 10, LEARNED),
        (36, 360, 10, AT_CHANCE),
        (52, 360, 10, AT_CHANCE),  # significantly above 10 %, as a network may be that names the most frequent class
        (72, 360, 10, LEARNED),
        (5, 360, 10, AT_CHANCE),  # worse than guessing
        (1_135, 10_000, 10, AT_CHANCE),  # MNIST's test images are 11.35 % ones
        (8, 16, 2, TOO_FEW_IMAGES),
        (520, 1_000, 2, AT_CHANCE),
        (600, 1_000, 2, LEARNED),
        (0, 40, 1000, AT_CHANCE),
        (103, 10_000, 1000, LEARNED),
        (50_000, 50_000, 1000, LEARNED),
    ],
)
def test_the_verdict_depends_on_the_number_of_images(hits: int, images: int, classes: int, verdict: str) -> None:
    assert judge(1 - hits / images, classes, images) == verdict


@pytest.mark.parametrize(
    ("wrong", "classes", "verdict"),
    [(0.9, 10, AT_CHANCE), (0.86, 10, AT_CHANCE), (0.84, 10, LEARNED), (0.5, 2, AT_CHANCE), (0.9897, 1000, LEARNED)],
)
def test_without_the_number_of_images_the_accuracy_decides(wrong: float, classes: int, verdict: str) -> None:
    assert judge(wrong, classes, 0) == verdict


@pytest.mark.parametrize("arguments", [(0.9, 0, 360), (NAN, 10, 360)])
def test_nothing_is_claimed_without_classes_or_error(arguments: tuple[float, int, int]) -> None:
    assert judge(*arguments) == LEARNED


def test_learned_begins_where_an_exact_sum_of_binomial_probabilities_says() -> None:
    n, share = 120, Fraction(1, 10)
    exact = [sum(comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(hits, n + 1)) for hits in range(n + 1)]
    first = next(hits for hits in range(n + 1) if exact[hits] < TAIL and hits > 0.15 * n)
    learned = [hits for hits in range(n + 1) if judge(1 - hits / n, 10, n) == LEARNED]
    assert learned == list(range(first, n + 1))


def test_a_run_is_judged_on_its_test_images_if_it_used_them(tmp_path: Path) -> None:
    for key, error, split, images in (("a" * 12, 0.2, "test", 30), ("b" * 12, NAN, "val", 20)):
        with_images = start(tmp_path, key, validation=20, test=30)
        with_images.epoch(epoch(0, test_error=error))
        score = score_of(read(with_images.path))
        assert (score.split, score.images, score.classes) == (split, images, FACTS["classes"])
