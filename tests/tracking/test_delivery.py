"""The thread that delivers the runs of a store to its own server."""

from pathlib import Path
from threading import Event, Thread

import pytest

from nowt.tracking import delivery
from tests.support.small_studies import wait_for


def test_a_bug_in_the_delivery_is_printed_once_with_its_traceback_and_delivery_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []

    def mistake(*given: object, only_waiting: bool) -> int:
        calls.append(only_waiting)
        if len(calls) < 3:
            raise AttributeError("a mistake")
        return 0

    monkeypatch.setattr(delivery, "deliver", mistake)
    printed: list[str] = []
    end = Event()
    thread = Thread(target=delivery.follow, args=(tmp_path, "http://127.0.0.1:1", printed.append, 0.01, end))
    thread.start()
    wait_for(lambda: len(calls) > 3, 10, "deliveries after the bug")
    end.set()
    thread.join()
    (text,) = printed
    assert "in mistake" in text and text.endswith("AttributeError: a mistake\ndelivery failed; retrying every 0.01 s")
    assert calls[:4] == [False, False, False, True]
