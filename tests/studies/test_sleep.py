"""The study ``sleep`` compares mirrors that differ in time alone."""

from nowt.config.recipes import digits
from nowt.rules.schedule import Schedule
from nowt.studies.planning.forecast import MirrorClock
from searchspaces import sleep


def test_its_mirrors_get_equal_numbers_of_samples() -> None:
    steps = sleep.STEPS_PER_EPOCH * sleep.EPOCHS
    schedule = Schedule(sleep.STEPS_PER_EPOCH, [0.0] * (steps + 1))
    shown = []
    for rule in sleep.PHASES.values():
        clock = MirrorClock(rule.decay, 1, 1, 1, rule.interval, burst=rule.burst, burst_epochs=rule.burst_epochs)
        shown.append(rule.samples * (rule.warmup + clock.steps(schedule, steps)))
    assert shown == [16 * 330] * 3


def test_its_steps_are_those_of_the_recipe() -> None:
    config = digits()
    assert config.epochs == sleep.EPOCHS
    assert [cell.name for cell in sleep.study().cells] == ["bp", *sleep.PHASES]
    assert sleep.study().reference == "bp"
