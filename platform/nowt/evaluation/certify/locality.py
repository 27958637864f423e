"""Locality: no step reads a layer's W except its forward map, its mirror map and its own optimiser update."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nowt.evaluation.certify import weight_reads as phase
from nowt.evaluation.certify.certificate import Check, Findings
from nowt.evaluation.certify.testbed import OPTIM, Testbed, small_net, watched_steps
from nowt.evaluation.certify.weight_reads import Reads, WeightReadTracer
from nowt.layers.attach import attach
from nowt.rules.base import Rule
from nowt.training.alignment import angle

ALWAYS = {"forward map", "optimiser", "backprop", "copy"}

EXACT = "mirror map, exact"


@dataclass(frozen=True)
class Watched:
    """What was seen of W in whole steps."""

    reads: tuple[Reads, ...]  # of the steps
    start: tuple[Reads, ...]  # of the rule's preparation, before any step
    copied: tuple[str, ...]  # layers whose B has become W, by whatever way


def watch(rule: Rule) -> Watched:
    """Watch a preparation, the time before learning and some whole steps, a mirror step among them."""
    start = _watch_preparation(rule)
    bench = Testbed.build(rule)
    before = _angles(bench)
    names = [layer.name for layer in bench.layers]
    weights = _weights(bench.model)
    seen = WeightReadTracer(weights, [n for n in weights if n not in names], list(bench.kept().values()))
    with seen.following(bench.model):
        bench.begin(seen.at)
        for number in watched_steps(rule):
            bench.step(number, seen.at)
    after = _angles(bench)
    copied = [n for n in after if after[n] < 0.01 and before[n] > 1]
    return Watched(seen.summary(), start, tuple(copied))


def check_locality(rule: Rule, watched: Watched) -> Findings:
    """One row: what else reads W, named; or, for a rule that transports weights on purpose, that it does."""
    if rule.transports == "weight":
        yield _labelled(watched)
        return
    allowed = _allowed(rule)
    others = [reads for reads in watched.reads if reads.reader not in allowed]
    exact = any(reads.reader == EXACT for reads in watched.reads)
    hidden = [] if exact and EXACT in allowed else list(watched.copied)
    wrong = [str(reads) for reads in others] + ([f"B has become W in {', '.join(hidden)}"] if hidden else [])
    numbers = watched_steps(rule)
    note = f"steps watched: {numbers[0]} to {numbers[-3]}, {numbers[-2]} and {numbers[-1]}"
    note += "; labelled: orthonormal probes read W out exactly" if exact and EXACT in allowed else ""
    if rule.learns_from == "mirror" and not any("mirror map" in reads.reader for reads in watched.reads):
        note += "; no mirror step came in them"
    measured = "; ".join(wrong) or f"0 others in {sum(reads.count for reads in watched.reads)} reads"
    yield Check("locality", _promise(rule), "0 other reads", measured, not wrong, note)


def besides(rule: Rule, watched: Watched) -> tuple[str, ...]:
    """What the certified network transports besides, in sentences."""
    bench = Testbed.build(rule)
    lines = [
        "batch norm: its own backward multiplies the error by γ/σ of its forward pass, and by its batch's statistics",
        f"gradient clipping: one norm over all layers scales every update (in use here, at {OPTIM.clip})",
        "shared kernels: a convolution's W is one for all positions, and so is its B",
        "nonlinearities: the error is multiplied by φ' of the forward pass; identity shortcuts pass it unchanged",
    ]
    plain = [name for name in _weights(bench.model) if name not in {layer.name for layer in bench.layers}]
    if plain:
        lines.append(f"backprop: the error goes back through Wᵀ in {', '.join(plain)}, which the rule does not cover")
    if watched.start:
        ops = dict.fromkeys(reads.op for reads in watched.start)
        lines.append(f"the start: before learning, the rule reads W to prepare its layers ({', '.join(ops)})")
    return tuple(lines)


def _watch_preparation(rule: Rule) -> tuple[Reads, ...]:
    model = small_net()
    seen = WeightReadTracer(_weights(model))
    seen.at(phase.START)
    with seen:
        attach(model, rule)
    return seen.summary()


def _labelled(watched: Watched) -> Check:
    ways = [f"{r.op} in the phase '{r.phase}'" for r in watched.reads if r.reader not in ALWAYS - {"backprop"}]
    measured = "reads W in full: labelled transport" + (f" ({', '.join(ways)})" if ways else "")
    return Check("locality", "Says that it transports weights, and is no local rule", "labelled", measured, True)


def _allowed(rule: Rule) -> set[str]:
    allowed = ALWAYS | ({"sign"} if rule.transports == "sign" else set())
    if rule.learns_from == "mirror":
        allowed |= {"mirror map"}
        allowed |= {EXACT} if "idealised" in vars(rule).values() else set()
    return allowed


def _promise(rule: Rule) -> str:
    mirror = ", its mirror map" if rule.learns_from == "mirror" else ""
    sign = " (and its sign)" if rule.transports == "sign" else ""
    return f"In whole steps, nothing reads a layer's W but its forward map{mirror} and its own optimiser update{sign}"


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {n: m.weight for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}


def _angles(bench: Testbed) -> dict[str, float]:
    with torch.no_grad():
        pairs = {
            layer.name: (bench.rule.feedback(layer), layer.weight)
            for layer in bench.layers
            if hasattr(layer, "feedback")
        }
    return {name: angle(b, w) for name, (b, w) in pairs.items() if b.shape == w.shape}
