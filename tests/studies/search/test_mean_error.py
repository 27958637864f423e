"""The mean error of a search's best setting says that runs diverged, and that none shows that it has learned."""

from pathlib import Path

import pytest

from nowt.store.records import RunLog
from nowt.store.run_log import read
from nowt.studies.search.mean_error import MeanError
from tests.support.run_logs import epoch, start


def run(folder: Path, seed: int, error: float, state: str = "finished", images: int = 1000) -> RunLog:
    writer = start(folder, f"{seed:012}", test=images)
    writer.epoch(epoch(3, test_error=error))
    writer.end(state)
    return read(writer.path)


@pytest.mark.parametrize(
    ("errors", "states", "images", "text"),
    [
        ((0.2, 0.3), "ff", 1000, "25.00 %"),
        ((0.9, 0.91), "ff", 1000, "90.50 % [at chance]"),
        ((0.2, 0.9), "ff", 1000, "55.00 %"),
        ((0.2, 0.4), "fd", 1000, "55.00 % [1 of 2 runs diverged]"),  # a diverged run counts as 90 %
        ((0.2, 0.4), "dd", 1000, "90.00 % [2 of 2 runs diverged, at chance]"),
        ((0.8125, 0.8125), "ff", 16, "81.25 % [too few images to tell from chance]"),
    ],
)
def test_what_makes_a_mean_misleading_is_said_beside_it(
    tmp_path: Path, errors: tuple[float, ...], states: str, images: int, text: str
) -> None:
    names = {"f": "finished", "d": "diverged"}
    runs = [run(tmp_path, n, e, names[s], images) for n, (e, s) in enumerate(zip(errors, states, strict=True))]
    assert MeanError.of(runs, "test").to_text() == text
