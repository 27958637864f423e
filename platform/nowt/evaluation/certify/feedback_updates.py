"""In a step, B changes only by the update that the rule declares, and the rule changes nothing else."""

import torch
from torch import Tensor

from nowt.config.run_config import OptimConfig
from nowt.core.formatting import first_few
from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.optimizer_step import expected_step, unexpected_changes
from nowt.evaluation.certify.phases import AFTER_STEP, BEFORE_LEARNING, BEFORE_STEP, BETWEEN, OPTIMIZER, RULE_PHASES
from nowt.evaluation.certify.testbed import Testbed, changed, clones, no_feedback_matrix_reason, sample_steps
from nowt.rules.base import Rule, overrides

KINDS = {  # of updates, and the phases in which B may change by them
    "": (),
    "gradient": (BEFORE_STEP, AFTER_STEP),
    "mirror": (BEFORE_LEARNING, AFTER_STEP),
    "weight": (BEFORE_LEARNING, AFTER_STEP),
    "activity": (AFTER_STEP,),
}

KIND_OF_METHOD = {
    "observe_gradient": "gradient",
    "observe_mirror": "mirror",
    "observe_weight": "weight",
    "observe": "activity",
    "observe_error": "activity",
    "after_step": "activity",
}

PROMISES = {
    "": "B is fixed: no step changes it",
    "gradient": "B changes only by the update that follows from the gradient of W",
    "mirror": "B changes only by mirror mode",
    "weight": "B changes only by the rule's own update after the step",
    "activity": "B changes only by the rule's own update after the step",
}


def check_feedback_updates(rule: Rule) -> CheckResults:
    """Yield checks of B's own update, of what the rule leaves unchanged, and of signs for a rule that follows them."""
    if not Testbed.build(rule).layers:
        yield from (SkippedCheck(name, no_feedback_matrix_reason(rule)) for name in ("own update", "untouched"))
    else:
        phases, side_effects = trace_changes(rule)
        yield _own_update(rule, phases)
        measured = f"changes {first_few(side_effects)}" if side_effects else "nothing changes"
        promise = (
            "Outside the optimizer's step, the rule does not change W, biases, batch norm, optimizer state or the "
            "global random state, and this step follows the gradients"
        )
        yield Check("untouched", promise, "bit for bit", measured, not side_effects)
    if rule.transports == "sign":
        yield _signs(rule)


def trace_changes(rule: Rule) -> tuple[list[str], list[str]]:
    """Return the phases in which the rule's state changes, and what else changes while only the rule's code runs."""
    testbed = Testbed.build(rule)
    settings = testbed.optimizer_settings()
    current, rule_state, network = BETWEEN, clones(testbed.rule_state()), _network_state(testbed)
    phases: dict[str, None] = {}
    side_effects: dict[str, None] = {}
    expected: dict[str, Tensor] = {}

    def on_phase(name: str) -> None:
        nonlocal current, rule_state, network, expected
        if changed(rule_state, testbed.rule_state()):
            phases[current] = None
        network_now = _network_state(testbed)
        if current in RULE_PHASES:
            side_effects.update(dict.fromkeys(changed(network, network_now)))
        side_effects.update(dict.fromkeys(_other_settings(settings, testbed)))  # which no phase changes
        side_effects.update(dict.fromkeys(unexpected_changes(testbed, expected)))
        expected = expected_step(testbed) if name == OPTIMIZER else {}
        current, rule_state, network = name, clones(testbed.rule_state()), network_now

    testbed.begin(on_phase)
    for number in sample_steps(rule):
        testbed.step(number, on_phase)
    return list(phases), list(side_effects)


def _other_settings(before: dict[str, str], testbed: Testbed) -> list[str]:
    now = testbed.optimizer_settings()
    return [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]


def _network_state(testbed: Testbed) -> dict[str, Tensor]:
    return clones(testbed.network_state()) | {"the global random state": torch.get_rng_state()}


def _own_update(rule: Rule, phases: list[str]) -> Check:
    kinds = {kind for method, kind in KIND_OF_METHOD.items() if overrides(rule, method)}
    own = {phase for kind in kinds for phase in KINDS[kind]}
    allowed = own | {OPTIMIZER} if rule.update == "with_weight" else own.union(KINDS[rule.learns_from])
    ordered = [phase for phase in (BEFORE_LEARNING, BEFORE_STEP, OPTIMIZER, AFTER_STEP) if phase in allowed]
    bound = f"only in: {', '.join(ordered)}" if allowed else "never"
    measured = f"changes in: {', '.join(phases)}" if phases else "never changes"
    several = len(kinds) + (rule.update == "with_weight") > 1
    promise = "B changes only by the updates that the rule declares" if several else PROMISES[rule.learns_from]
    return Check("own update", promise, bound, measured, set(phases) <= allowed)


def _signs(rule: Rule) -> Check:
    """Run ten steps at a learning rate that changes signs of W."""
    testbed = Testbed.build(rule, optim=OptimConfig(lr=0.5, schedule="constant"))
    flips = wrong = 0
    for number in range(1, 11):
        signs = [layer.weight.detach().sign() for layer in testbed.layers]
        testbed.step(number)
        flips += sum(int((s != layer.weight.sign()).sum()) for s, layer in zip(signs, testbed.layers, strict=True))
        wrong += sum(int((layer.feedback.sign() != layer.weight.sign()).sum()) for layer in testbed.layers)
    measured = f"{wrong} signs differ, while {flips} signs of W changed"
    promise = "sign(B) equals sign(W) after every optimizer step"
    return Check("signs", promise, "0 differ", measured, wrong == 0 and flips > 0)
