"""A child that custom code forks and that returns from it is ended."""

import os

import pytest

from nowt.core.forked_children import ForkGuard
from tests.support.forked_children import RETURNED, exit_code_of_child


def test_a_child_that_returns_from_custom_code_is_ended_with_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    guard = ForkGuard()
    guard.check()  # no child
    assert exit_code_of_child(guard.check) == 1
    error = capfd.readouterr().err
    assert error.startswith("nowt: custom code has forked process ") and error.count("\n") == 1
    assert f"process {os.getpid()}" in error and "os._exit" in error


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_a_child_that_raises_is_ended_before_any_handler(error: type[BaseException]) -> None:
    def work() -> None:
        try:
            with guard:
                raise error
        finally:
            os._exit(RETURNED)

    guard = ForkGuard()
    assert exit_code_of_child(work) == 1


def test_a_child_has_its_own_guards() -> None:
    assert exit_code_of_child(lambda: ForkGuard().check()) == RETURNED


def test_a_child_whose_stderr_is_closed_is_ended() -> None:
    def work() -> None:
        os.close(2)
        guard.check()

    guard = ForkGuard()
    assert exit_code_of_child(work) == 1
