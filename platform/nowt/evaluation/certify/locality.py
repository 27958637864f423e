"""Locality: in a step, W is read only by its layer's forward map, its mirror map and its own optimizer update."""

from dataclasses import dataclass

import torch

from nowt.evaluation.certify import phases
from nowt.evaluation.certify.certificate import Check, CheckResults
from nowt.evaluation.certify.small_network import small_net, weights_by_layer
from nowt.evaluation.certify.testbed import OPTIM, Testbed, candidates, traced_steps
from nowt.evaluation.certify.weight_read_tracer import WeightReadTracer
from nowt.evaluation.certify.weight_reads import ReadCount
from nowt.layers.alignment import angle
from nowt.layers.attach import attach_to_candidates
from nowt.layers.views import feedback_of
from nowt.rules.base import Rule

ALWAYS_ALLOWED = {"forward map", "optimizer", "backprop", "copy"}

EXACT = "mirror map, exact"


@dataclass(frozen=True)
class ReadTrace:
    """The reads of W in complete training steps."""

    reads: tuple[ReadCount, ...]  # in the steps
    initialization: tuple[ReadCount, ...]  # while the rule prepared its layers
    copied: tuple[str, ...]  # layers whose B became W, however that happened
    left_to_backprop: tuple[str, ...]  # layers that the rule does not cover


def trace_reads(rule: Rule) -> ReadTrace:
    """Trace the preparation of the layers, the work before learning, and training steps, mirror steps included."""
    initialization = _trace_initialization(rule)
    testbed = Testbed.build(rule)
    before = _angles(testbed)
    names = {layer.name for layer in testbed.layers}
    weights = weights_by_layer(testbed.model)
    backprop_layers = [name for name in weights if name not in names]
    tracer = WeightReadTracer(weights, backprop_layers, list(testbed.rule_state().values()))
    with tracer.trace(testbed.model):
        testbed.begin(tracer.enter_phase)
        for number in traced_steps(rule):
            testbed.step(number, tracer.enter_phase)
    after = _angles(testbed)
    copied = [name for name in after if after[name] < 0.01 and before[name] > 1]
    return ReadTrace(tracer.counts(), initialization, tuple(copied), tuple(backprop_layers))


def check_locality(rule: Rule, trace: ReadTrace) -> CheckResults:
    """Yield one check, which names every other reader of W.

    For a rule that declares weight transport, the check only states what it reads.
    """
    if rule.transports == "weight":
        yield _declared_transport(trace)
        return
    allowed = _allowed_readers(rule)
    others = [str(reads) for reads in trace.reads if reads.reader not in allowed]
    exact = EXACT in allowed and any(reads.reader == EXACT for reads in trace.reads)
    hidden = [] if exact else list(trace.copied)
    violations = others + ([f"B became W in {', '.join(hidden)}"] if hidden else [])
    measured = "; ".join(violations) or f"0 others in {sum(reads.count for reads in trace.reads)} reads"
    yield Check("locality", _promise(rule), "0 other reads", measured, not violations, _note(rule, trace, exact))


def reads_out(rule: Rule) -> bool:
    """Return whether the rule asks for mirror noise that reads W out exactly."""
    noise = rule.mirror_noise()
    return noise is not None and noise.kind == "idealised"


def other_transport(rule: Rule, trace: ReadTrace) -> tuple[str, ...]:
    """Describe what the certified network transports besides W, in sentences."""
    lines = [
        "batch norm: its backward pass multiplies the error by γ/σ of its forward pass, and uses its batch statistics",
        f"gradient clipping: one norm over all layers scales every update (used here, at {OPTIM.clip})",
        "shared kernels: a convolution uses the same W, and the same B, at all positions",
        "nonlinearities: the error is multiplied by φ' of the forward pass; identity shortcuts pass it unchanged",
    ]
    if trace.left_to_backprop:
        uncovered = ", ".join(trace.left_to_backprop)
        lines.append(f"backprop: the error goes back through Wᵀ in {uncovered}, which the rule does not cover")
    if trace.initialization:
        ops = ", ".join(dict.fromkeys(reads.op for reads in trace.initialization))
        lines.append(f"initialization: before learning, W is read to draw B and to tell its standard deviation ({ops})")
    return tuple(lines)


def _trace_initialization(rule: Rule) -> tuple[ReadCount, ...]:
    model = small_net()
    tracer = WeightReadTracer(weights_by_layer(model))
    tracer.enter_phase(phases.INITIALIZATION)
    found = candidates(model)
    with tracer:
        attach_to_candidates(model, rule, 0, found)
    return tracer.counts()


def _declared_transport(trace: ReadTrace) -> Check:
    ordinary = ALWAYS_ALLOWED - {"backprop"}
    reads = [f"{r.op} in the phase '{r.phase}'" for r in trace.reads if r.reader not in ordinary]
    measured = "reads all of W: declared transport" + (f" ({', '.join(reads)})" if reads else "")
    promise = "The rule declares that it transports weights; it is not a local rule"
    return Check("locality", promise, "declared", measured, True)


def _allowed_readers(rule: Rule) -> set[str]:
    allowed = ALWAYS_ALLOWED | ({"sign"} if rule.transports == "sign" else set())
    if rule.learns_from == "mirror":
        allowed |= {"mirror map"}
        allowed |= {EXACT} if reads_out(rule) else set()
    return allowed


def _note(rule: Rule, trace: ReadTrace, exact: bool) -> str:
    numbers = traced_steps(rule)
    note = f"traced steps: {numbers[0]} to {numbers[-3]}, {numbers[-2]} and {numbers[-1]}"
    note += "; declared: orthonormal probes read W exactly" if exact else ""
    if rule.learns_from == "mirror" and not any("mirror map" in reads.reader for reads in trace.reads):
        note += "; none of them was a mirror step"
    return note


def _promise(rule: Rule) -> str:
    mirror = ", its mirror map" if rule.learns_from == "mirror" else ""
    sign = "; the rule also reads its sign" if rule.transports == "sign" else ""
    return f"In a step, a layer's W is read only by its forward map{mirror} and its own optimizer update{sign}"


def _angles(testbed: Testbed) -> dict[str, float]:
    """Degrees between B and W, for layers with a B of W's shape."""
    layers = [layer for layer in testbed.layers if hasattr(layer, "feedback")]
    with torch.no_grad():
        pairs = {layer.name: (feedback_of(layer), layer.weight) for layer in layers}
    return {name: angle(b, w) for name, (b, w) in pairs.items() if b.shape == w.shape}
