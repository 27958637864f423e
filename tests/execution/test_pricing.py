"""What a study has cost, from its logs, at a price per node type."""

import json
from pathlib import Path

import pytest

from nowt.core.errors import ConfigError
from nowt.execution.pricing import Price
from nowt.execution.spending_cap import SpendingCap, spent_by
from nowt.store.records import RunLog
from nowt.store.run_log import read

HOUR = 3_600_000  # milliseconds

PRICE = Price.parse("gpu=0.5, head=0.1")


def test_a_price_by_node_type_counts_every_machine() -> None:
    assert PRICE.hourly({"gpu": 4, "head": 1}) == pytest.approx(2.1)
    assert PRICE.hourly({"gpu": 1, "other": 2}) == pytest.approx(1.5)  # a type without a price has the highest one
    assert PRICE.hourly({}) == 0.5
    assert Price.parse("0.53").hourly({"gpu": 4}) == 0.53  # of all together


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "much", "gpu=", "gpu=0", "=1", "gpu=1,gpu=2", "gpu=1,2"])
def test_a_malformed_price_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--price is"):
        Price.parse(text)


def log(folder: Path, name: str, *lines: tuple[str, float, dict[str, int]]) -> RunLog:
    """The log of a run, from ``(kind, hours, machines)`` of each line."""
    path = folder / f"{name}.jsonl"
    contents = [
        {"kind": kind, "time": int(at * HOUR), "attempt": 2, "state": "finished", "reason": ""}
        | ({"machines": m} if m else {})
        for kind, at, m in lines
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in contents))
    return read(path)


def test_the_cost_of_a_study_follows_from_its_logs(tmp_path: Path) -> None:
    one, four = {"head": 1}, {"gpu": 4, "head": 1}
    first = log(tmp_path, "a", ("start", 0, one), ("end", 2, {}))
    beside = log(tmp_path, "b", ("start", 1, four), ("end", 1.5, {}))  # from here on there are five machines
    later = log(tmp_path, "c", ("start", 10, one), ("end", 10.5, {}), ("resume", 20, four), ("end", 21, {}))
    assert spent_by([first, beside, later], PRICE.hourly) == pytest.approx(0.1 + 2.1 + 0.05 + 2.1)
    assert spent_by([later, beside, first], SpendingCap(hours=1).rate) == pytest.approx(2 + 0.5 + 1)
    assert spent_by([], PRICE.hourly) == 0
    assert spent_by([first, beside, later], SpendingCap(hours=1).rate, since=5 * HOUR) == pytest.approx(
        0.5 + 1
    )  # of this study


def test_a_cap_is_described_in_words() -> None:
    assert (
        SpendingCap(money=20, price=PRICE).to_text()
        == "what 20 buys at gpu 0.5, head 0.1 per hour, other types at the highest price"
    )
    assert SpendingCap(money=20, price=Price.parse("0.5")).to_text() == "40 hours, which 20 buys at 0.5 per hour"
