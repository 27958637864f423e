"""What a rule does in a step: B is advanced by its own update only, and nothing else of the network is touched."""

import torch
from torch import Tensor

from nowt.config.run_config import OptimConfig
from nowt.evaluation.certify import weight_reads as phase
from nowt.evaluation.certify.certificate import Check, Findings, LeftOut
from nowt.evaluation.certify.testbed import Testbed, changed, copies, steps, why_no_matrix
from nowt.rules.base import Rule

ADVANCED = {
    "": (),
    "gradient": (phase.OPTIMISER,),
    "mirror": (phase.BEFORE_LEARNING, phase.AFTER_STEP),
    "weight": (phase.BEFORE_LEARNING, phase.AFTER_STEP),
}

OWN_TIME = (phase.BEFORE_LEARNING, phase.AFTER_STEP)  # when the rule alone is at work


def check_conduct(rule: Rule) -> Findings:
    """Rows for B's own update, for what the rule leaves alone, and for the signs of a rule that follows them."""
    if not Testbed.build(rule).layers:
        yield from (LeftOut(name, why_no_matrix(rule)) for name in ("own update", "untouched"))
    else:
        advances, touched = _watch(rule)
        yield _own_update(rule, advances)
        measured = f"changes {', '.join(touched)}" if touched else "nothing changes"
        promise = "Between steps the rule leaves W, biases, batch norm, optimiser and the global random stream alone"
        yield Check("untouched", promise, "bit for bit", measured, not touched)
    if rule.transports == "sign":
        yield _signs(rule)


def _watch(rule: Rule) -> tuple[list[str], list[str]]:
    """The phases in which what the rule keeps changes, and what else changes while the rule is at work."""
    bench = Testbed.build(rule)
    now, kept, own = phase.BETWEEN, copies(bench.kept()), _everything(bench)
    advances: dict[str, None] = {}
    touched: dict[str, None] = {}

    def at(name: str) -> None:
        nonlocal now, kept, own
        if changed(kept, bench.kept()):
            advances[now] = None
        after = _everything(bench)
        if now in OWN_TIME:
            touched.update(dict.fromkeys(changed(own, after)))
        now, kept, own = name, copies(bench.kept()), after

    bench.begin(at)
    for number in steps(rule):
        bench.step(number, at)
    return list(advances), list(touched)


def _everything(bench: Testbed) -> dict[str, Tensor]:
    return copies(bench.own()) | {"the global random stream": torch.get_rng_state()}


def _own_update(rule: Rule, advances: list[str]) -> Check:
    allowed = ADVANCED[rule.learns_from]
    bound = f"only in: {', '.join(allowed)}" if allowed else "never"
    measured = f"changes in: {', '.join(advances)}" if advances else "never changes"
    promise = {
        "": "B is fixed: no step changes it",
        "gradient": "B is advanced by the optimiser, with W's gradient, and by nothing else",
        "mirror": "B is advanced by mirror mode and by nothing else",
        "weight": "B is advanced by the rule's own update after the step and by nothing else",
    }[rule.learns_from]
    return Check("own update", promise, bound, measured, set(advances) <= set(allowed))


def _signs(rule: Rule) -> Check | LeftOut:
    """Ten steps at a rate at which W changes signs."""
    bench = Testbed.build(rule, optim=OptimConfig(lr=0.5, schedule="constant"))
    flips = wrong = 0
    for number in range(1, 11):
        signs = [layer.weight.detach().sign() for layer in bench.layers]
        bench.step(number)
        flips += sum(int((s != layer.weight.sign()).sum()) for s, layer in zip(signs, bench.layers, strict=True))
        wrong += sum(int((layer.feedback.sign() != layer.weight.sign()).sum()) for layer in bench.layers)
    measured = f"{wrong} signs differ, while W changed {flips}"
    return Check(
        "signs", "sign(B) is sign(W) after every optimiser step", "0 differ", measured, wrong == 0 and flips > 0
    )
