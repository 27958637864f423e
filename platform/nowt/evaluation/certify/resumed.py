"""Saved and resumed in mid-training, the numbers are the same: state that the rule did not register would be lost."""

from nowt.core.formatting import first_few
from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.interruption import PACE, in_new_process, load, save, state_of, train
from nowt.evaluation.certify.testbed import Testbed, changed, sample_steps
from nowt.rules.base import Rule
from nowt.rules.rule_checks import shortened_rule


def check_resumed(rule: Rule) -> CheckResults:
    """Yield one check.

    One run does four steps. Another one begins with what the first had registered after two of them, with a rule and a
    network that were built anew, and does the last two.
    """
    short = shortened_rule(rule, PACE)
    before, after = sample_steps(short)[:2], sample_steps(short)[2:]
    whole = Testbed.build(short)
    if not whole.layers:
        yield SkippedCheck("resumed", "the rule covers no layer: torch's own layers use backprop")
        return
    whole.begin()
    train(whole, before)
    saved = save(whole)
    train(whole, after)
    resumed = Testbed.build(in_new_process(short), seed=0)
    load(resumed, saved)
    train(resumed, after)
    wrong = changed(state_of(whole), state_of(resumed))
    measured = f"differs: {first_few(wrong)}" if wrong else f"{len(state_of(whole))} tensors equal"
    promise = "Saved and resumed in mid-training, W, B and the rule's state are the same: all its state is registered"
    yield Check("resumed", promise, "bit for bit", measured, not wrong)
