"""What is said about audited steps."""

from nowt.store.audits import Audit, audits_in_words


def test_steps_without_a_read_are_said_to_be_clean() -> None:
    assert audits_in_words([Audit(0), Audit(3), Audit(7, examined=False)]) == (
        "work before learning, 1 step, 1 more could not be examined: no read of W found"
    )


def test_a_run_in_which_no_step_could_be_examined_is_not_said_to_be_clean() -> None:
    assert audits_in_words([Audit(0), Audit(3, examined=False)]) == (
        "work before learning, 0 steps, 1 more could not be examined: nothing is known of what the rule reads"
    )


def test_what_was_found_is_said() -> None:
    assert audits_in_words([Audit(2, problem="B of layer fc changes with W")]) == "1 step: B of layer fc changes with W"
