"""The poisoning test: whoever reads W outside of its maps and its update reads garbage, and computes something else.

It complements the null-space test, which needs layers that see fewer positions than they have inputs. Here,
convolutions see many positions. The rule trains on the small network, and once more with poisoned W. For the second
time it was prepared on another W, so that what it remembers of that is of no use. All numbers must be the same bit for
bit. So must be what it registers when it is prepared on garbage.
"""

import os
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from nowt.core.random_state import preserved_random_state
from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.testbed import Testbed, changed, clones, sample_steps
from nowt.layers.poisoning import poisoned
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer

Values = dict[str, Tensor]


def check_poisoning(rule: Rule) -> CheckResults:
    """Yield one check; of a rule that declares that it reads W, that it does. The random states do not change."""
    if not Testbed.build(rule).layers:
        yield SkippedCheck("poisoning", "the rule covers no layer: torch's own layers use backprop")
        return
    with preserved_random_state(torch.device("cpu")):
        found = _differences(rule)
    if rule.transports:
        promise = "W is garbage outside of its maps and its update: the rule notices, as it declares"
        measured = f"{len(found)} values changed" if found else "the same bit for bit"
        yield Check("poisoning", promise, "a change", measured, bool(found))
    else:
        promise = (
            "W is garbage outside of its maps and its update: B, the rule's state, all gradients and W are the same"
        )
        measured = f"first change: {found[0]}" if found else "the same bit for bit"
        yield Check("poisoning", promise, "bit for bit", measured, not found)


def _differences(rule: Rule) -> list[str]:
    """Return what differs from ordinary training, the first difference first."""
    plain = _Run(rule)
    start, state = clones(plain.testbed.model.state_dict()), clones(plain.testbed.rule_state())
    spoiled = changed(state, _Run(rule, garbage=True).testbed.rule_state())
    expected = plain.train()
    other = _Run(rule, shuffled=_number())
    other.take_over(plain.testbed.layers, start)
    found = changed(expected, other.train(poisoned(other.testbed.layers, other.testbed.optimizer)))
    return [f"{name}, prepared on garbage" for name in spoiled] + found


def _number() -> int:
    """Return a number from the operating system, which no code can foresee."""
    return int.from_bytes(os.urandom(4), "big")


class _Run:
    """One training run of the rule.

    Args:
        rule: The rule.
        garbage: Whether W is garbage while the rule's own code prepares its layers, after nowt has drawn B.
        shuffled: Prepare on a W with its entries in the order of this number. Default None: on W.
    """

    def __init__(self, rule: Rule, garbage: bool = False, shuffled: int | None = None) -> None:
        self._true: dict[FeedbackLayer, Tensor] = {}
        self._steps = sample_steps(rule)
        between = self._spoil if garbage else None
        with preserved_random_state(torch.device("cpu"), seed=0):
            self.testbed = Testbed.build(rule, shuffled=shuffled, between=between)
        for layer, weight in self._true.items():
            layer.weight.data.copy_(weight)

    def _spoil(self, layer: FeedbackLayer) -> None:
        weight, stream = layer.weight.data, torch.Generator()
        stream.seed()
        self._true[layer] = weight.clone()
        weight.copy_(torch.randn(weight.shape, generator=stream) * weight.std())

    @torch.no_grad()
    def take_over(self, layers: list[FeedbackLayer], values: Values) -> None:
        """Take over all values of another run at its start, and the standard deviations that its layers show."""
        self.testbed.model.load_state_dict(values)
        for own, other in zip(self.testbed.layers, layers, strict=True):
            own.__dict__["weight_std"] = other.weight_std.clone()

    def train(self, block: AbstractContextManager[None] | None = None) -> Values:
        """Return B, the rule's state and the gradients at each step, and the network at the end."""
        testbed = self.testbed
        found: Values = {}
        with preserved_random_state(torch.device("cpu"), seed=1), block or nullcontext():
            testbed.begin()
            found |= _labelled("before learning", testbed.rule_state())
            for number in self._steps:
                testbed.step(number)
                found |= _labelled(f"step {number}", _gradients(testbed) | testbed.rule_state())
        return found | _labelled("at the end", testbed.network_state())


def _gradients(testbed: Testbed) -> Values:
    named = testbed.model.named_parameters()
    return {f"gradient of {name}": value.grad for name, value in named if value.grad is not None}


def _labelled(when: str, values: Values) -> Values:
    return {f"{name}, {when}": value for name, value in clones(values).items()}
