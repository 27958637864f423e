"""What a step of SGD with momentum and weight decay makes of the network, computed apart from the optimizer.

A rule that hooks the optimizer and hands it other gradients than those of the network changes W in another way.
"""

from typing import cast

from torch import Tensor

from nowt.evaluation.certify.testbed import Testbed

BOUND = 1e-5  # relative; in float32, the optimizer's own rounding is 1e-7


def expected_step(testbed: Testbed) -> dict[str, Tensor]:
    """Return each parameter of the network as the next step should leave it, and its momentum, in float64.

    B and what else the rule registered is not included: a rule may give it gradients of its own.
    """
    names = _network_names(testbed)
    found: dict[str, Tensor] = {}
    for group in testbed.optimizer.param_groups:
        for p in (each for each in group["params"] if id(each) in names and each.grad is not None):
            step = p.grad.double() + group["weight_decay"] * p.detach().double()
            buffer = _momentum(testbed, p)
            step += 0 if buffer is None else group["momentum"] * buffer.double()
            found[names[id(p)]] = p.detach().double() - group["lr"] * step
            found[f"momentum of {names[id(p)]}"] = step
    return found


def unexpected_changes(testbed: Testbed, expected: dict[str, Tensor]) -> list[str]:
    """Return which of these the optimizer's step has left otherwise."""
    parameters = {name: p for p, name in _parameters(testbed)}
    found = []
    for name, value in expected.items():
        p = parameters[name.removeprefix("momentum of ")]
        now = p.detach() if name in parameters else _momentum(testbed, p)
        if now is None or not float((now.double() - value).norm()) <= BOUND * float(value.norm()):
            found.append(f"{name} in the optimizer's step, by other than its gradient")
    return found


def _parameters(testbed: Testbed) -> list[tuple[Tensor, str]]:
    registered = testbed.rule_state()
    return [(p, name) for name, p in testbed.model.named_parameters() if name not in registered]


def _network_names(testbed: Testbed) -> dict[int, str]:
    return {id(p): name for p, name in _parameters(testbed)}


def _momentum(testbed: Testbed, parameter: Tensor) -> Tensor | None:
    state = testbed.optimizer.state.get(parameter, {})
    return cast("Tensor | None", state.get("momentum_buffer"))
