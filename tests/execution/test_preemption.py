"""When a machine announces its preemption, a run writes a checkpoint and resumes elsewhere with equal results."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nowt.config.placement import Placement
from nowt.execution import local, preemption
from nowt.execution.preemption import InstanceMetadata, PreemptionNotice, instance_metadata, watch_for_preemption
from nowt.execution.preparation import inspect_data, plan_run
from nowt.execution.run_queue import RunQueue
from nowt.execution.scheduler import PlannedRun
from nowt.store.records import RunLog
from nowt.store.run_log import read
from tests.support.metadata_service import NOTICE, Service, metadata_service
from tests.support.short_runs import STEPS, numbers, short_run
from tests.support.small_studies import wait_for

WHERE, OFF = "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED"


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The metadata service of this machine, polled often."""
    monkeypatch.setattr(preemption, "POLL_SECONDS", 0.01)
    with metadata_service() as service:
        monkeypatch.setenv(WHERE, service.url)
        yield service


def run(store: Path, after_epoch: Callable[[RunLog], None]) -> tuple[bool, RunLog]:
    """Execute a short run in this process. Returns whether it was complete, and its log."""
    config, here = short_run("kp", epochs=3), Placement(store=str(store), device="cpu")
    planned = plan_run("kp", config, inspect_data(config, here))

    def on_update(_: PlannedRun, log: RunLog) -> None:
        after_epoch(log)

    complete = local.run(RunQueue(store, (planned,), on_update), here)
    return complete, read(store / "logs" / f"{planned.key}.jsonl")


def checkpoints(store: Path) -> list[str]:
    return sorted(path.name for path in store.glob("checkpoints/*/*"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> RunLog:
    complete, log = run(tmp_path_factory.mktemp("uninterrupted"), lambda _: None)
    assert complete
    return log


class MachineLost(Exception):
    """Raised within a run."""


def test_after_a_spot_notice_another_machine_resumes_from_a_checkpoint_of_the_next_batch(
    ec2: Service, tmp_path: Path, uninterrupted: RunLog
) -> None:
    def after_epoch(log: RunLog) -> None:
        if log.last_epoch == 1:
            ec2.notice = NOTICE
            wait_for(lambda: ec2.announced > 0, 10, "the next poll")
            time.sleep(0.1)  # until the response has arrived
        if log.last_epoch == 2:
            assert checkpoints(tmp_path) == [f"step-{STEPS + 1:09d}.pt", f"step-{2 * STEPS:09d}.pt"]
            raise MachineLost

    with pytest.raises(MachineLost):
        run(tmp_path, after_epoch)
    next(tmp_path.glob(f"checkpoints/*/step-{2 * STEPS:09d}.pt")).unlink()  # as if the machine had been lost before it
    complete, log = run(tmp_path, lambda _: None)
    assert complete and log.attempts == 2
    assert numbers(log.epochs) == numbers(uninterrupted.epochs)


def test_sigterm_stops_a_run_after_the_current_batch_as_ctrl_c_does(tmp_path: Path, uninterrupted: RunLog) -> None:
    before = signal.getsignal(signal.SIGTERM)
    complete, _ = run(tmp_path, lambda log: os.kill(os.getpid(), signal.SIGTERM) if log.last_epoch == 1 else None)
    assert not complete
    assert checkpoints(tmp_path)[-1] == f"step-{STEPS + 1:09d}.pt"
    assert signal.getsignal(signal.SIGTERM) == before
    complete, log = run(tmp_path, lambda _: None)
    assert complete and numbers(log.epochs) == numbers(uninterrupted.epochs)


def test_the_notice_is_requested_with_a_token_and_has_the_time_of_termination(ec2: Service) -> None:
    machine = instance_metadata()
    assert machine is not None
    assert machine.terminates_at() is None
    ec2.notice = NOTICE
    assert machine.terminates_at() == 1767225720.0
    ec2.tokens.remove(machine.token)  # it has expired
    assert machine.terminates_at() == 1767225720.0
    assert ec2.announced == 2
    for vague in ('{"action": "hibernate"}', "soon"):
        ec2.notice = vague
        assert machine.terminates_at() == pytest.approx(time.time() + 120, abs=30)


def test_another_service_or_one_that_does_not_answer_announces_nothing(ec2: Service) -> None:
    ec2.notice = NOTICE
    assert InstanceMetadata(f"127.0.0.1:{ec2.port}", token="of another machine").terminates_at() is not None
    ec2.put = lambda *_: (404, "")  # type: ignore[method-assign]  # as another cloud's, at the same address
    ec2.tokens.clear()
    assert InstanceMetadata(f"127.0.0.1:{ec2.port}").terminates_at() is None
    assert InstanceMetadata("127.0.0.1:9").terminates_at() is None


def test_no_service_is_polled_outside_ec2_or_if_it_is_disabled(ec2: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OFF, "true")
    assert instance_metadata() is None
    monkeypatch.delenv(OFF)
    monkeypatch.delenv(WHERE)
    monkeypatch.setattr("nowt.execution.preemption.MACHINE", Path("/nowhere"))
    assert instance_metadata() is None


def test_an_ec2_instance_is_recognized_by_its_vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WHERE, raising=False)
    monkeypatch.delenv(OFF, raising=False)
    monkeypatch.setattr("nowt.execution.preemption.MACHINE", tmp_path)
    (tmp_path / "sys_vendor").write_text("Amazon EC2\n")
    assert instance_metadata() == InstanceMetadata("169.254.169.254")


def test_after_a_notice_checkpoints_are_written_repeatedly(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    notice = PreemptionNotice()
    assert not notice.checkpoint_due()
    notice.given = True
    assert (notice.checkpoint_due(), notice.checkpoint_due()) == (True, False)
    now += 16
    assert (notice.checkpoint_due(), notice.checkpoint_due()) == (True, False)


def test_a_notice_is_reported_once_and_a_run_without_one_leaves_no_thread() -> None:
    reported: list[str] = []
    with watch_for_preemption(lambda: True, on_notice=lambda: reported.append("notice")) as notice:
        wait_for(lambda: bool(reported), 10, "the notice")
    assert notice.given and reported == ["notice"]
    with watch_for_preemption(lambda: False, on_notice=lambda: reported.append("none")) as quiet:
        pass
    assert not quiet.given and reported == ["notice"]


def test_a_source_that_fails_is_reported_once_and_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(preemption, "POLL_SECONDS", 0.01)
    asked: list[int] = []

    def source() -> bool:
        asked.append(len(asked))
        if len(asked) < 4:
            raise AttributeError("a mistake")
        return True

    with watch_for_preemption(source) as notice:
        wait_for(lambda: notice.given, 10, "the notice")
    (entry,) = caplog.records
    assert entry.exc_info and "a mistake" in (entry.exc_text or "") and "tried again" in entry.getMessage()
