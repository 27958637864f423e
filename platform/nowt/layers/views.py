"""Makes what a rule sees of a layer, and registers what the rule prepares there."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nowt.core.distributed import Group
from nowt.core.errors import ConfigError
from nowt.rules.base import Rule, overrides
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.layer_view import LayerView
from nowt.rules.moment import Moment
from nowt.rules.random_stream import RandomStream

Between = Callable[[FeedbackLayer], None]


def view_of(layer: FeedbackLayer, moment: Moment | None = None) -> LayerView:
    """Return the view of a prepared layer; at a ``moment`` in training, random numbers and sums over workers are those
    of that moment. In a forward or backward pass there is none."""

    name, rule = layer.name, layer.rule  # the view holds no layer, not even in the closure of a function

    def streams(purpose: str) -> RandomStream:
        return random_stream(name, moment, own_stream(rule, purpose))

    return _view(layer, registered_state(layer), streams, None if moment is None else moment.group)


def _laid_out(value: Tensor, weight: Tensor) -> Tensor:
    """Return ``value`` in the memory layout of W, by which torch chooses an algorithm, if it has W's shape."""
    same = value.shape == weight.shape and value.dtype == weight.dtype
    return torch.empty_like(weight).copy_(value) if same else value


def feedback_of(layer: FeedbackLayer) -> Tensor:
    """Return the weights through which the rule sends the error back; empty if it does so in another way."""
    no_matrix = "feedback" not in layer.state_names and not overrides(layer.rule, "feedback")
    if no_matrix or overrides(layer.rule, "send_back"):
        return layer.weight.new_empty(0)
    with torch.no_grad():
        return feedback_matrix(layer).detach()


def feedback_matrix(layer: FeedbackLayer) -> Tensor:
    """Return what the rule's ``feedback`` returns for the layer. Raises ConfigError unless it has the shape of W."""
    found = layer.rule.feedback(view_of(layer))
    _check_shape(layer, "feedback() returned", found, layer.weight.shape, "W")
    return found


def check_sent(layer: FeedbackLayer, sent: Tensor, x: Tensor) -> None:
    """Raise ConfigError unless ``sent``, what the rule's ``send_back`` returned, has the shape of the input ``x``."""
    _check_shape(layer, "send_back() returned", sent, x.shape, "the layer's input")


def _check_shape(layer: FeedbackLayer, action: str, found: object, shape: torch.Size, owner: str) -> None:
    if isinstance(found, Tensor) and found.shape == shape:
        return
    what = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
    raise ConfigError(
        f"rule {layer.rule.name}, layer {layer.name}: {action} {what}: it must be a tensor of the shape of {owner}, "
        f"{tuple(shape)}"
    )


def own_stream(rule: Rule, purpose: str) -> str:
    """Return the name of the random numbers that a rule asks for.

    It is none of nowt's own streams: a rule that draws the numbers of W again, or the random order in which W's entries
    are those of B, knows W without reading it. Two names stay as they were in earlier versions, where nothing of
    nowt's own has them: ``"magnitudes"``, and ``"feedback"`` under a rule whose B nowt does not draw.
    """
    if purpose == "magnitudes" or (purpose == "feedback" and rule.initialization() is None):
        return purpose
    return f"rule: {purpose}"


def random_stream(name: str, moment: Moment | None, purpose: str) -> RandomStream:
    """Return the random numbers of a layer for one purpose at one moment. Raises ValueError outside of a moment."""
    if moment is None:
        raise ValueError(
            f"the rule draws random numbers in the forward or backward pass of layer {name}: draw them in after_step() "
            "or prepare()"
        )
    return RandomStream(moment.seed, purpose, name, moment.step)


def prepare(layer: FeedbackLayer, seed: int, between: Between | None = None) -> None:
    """Draw B as the rule declares, let the rule register its own tensors, and apply signs or W if it uses them.

    ``between`` is called when B is drawn, before the rule's own code runs: a certificate changes W there.
    """
    rule, weight, name = layer.rule, layer.weight.detach(), layer.name
    state: dict[str, Tensor] = {}
    declared = rule.initialization()
    if declared is not None:
        state["feedback"] = declared.draw(weight, seed, name)
    layer.__dict__["weight_std"] = weight.std()
    layer.__dict__["cache"] = {}
    if between is not None:
        between(layer)

    def streams(purpose: str) -> RandomStream:
        return RandomStream(seed, own_stream(rule, purpose), name)

    rule.prepare(_view(layer, state, streams, None, registers=True))
    _check_feedback(layer, state)
    for key, value in state.items():
        layer.register_state(key, _laid_out(value, weight))
    layer.__dict__["state_names"] = tuple(state)
    if "sign" in rule.signals:
        copy_signs(layer)
    if overrides(rule, "observe_weight"):
        with torch.no_grad():
            rule.observe_weight(view_of(layer), weight)
    for other in layer.tied:
        for key in state:
            other.register_parameter(key, layer.get_parameter(key))
        other.__dict__.update({each: layer.__dict__[each] for each in ("weight_std", "cache", "state_names")})


def _check_feedback(layer: FeedbackLayer, state: dict[str, Tensor]) -> None:
    """Raise ConfigError unless the layer has the B through which the error passes, or which nowt changes."""
    rule = layer.rule
    changed = rule.update == "with_weight" or "sign" in rule.signals
    if not changed and (overrides(rule, "send_back") or overrides(rule, "feedback")):
        return
    if "feedback" in state:
        _check_shape(layer, "prepare() registered as feedback", state["feedback"], layer.weight.shape, "W")
        return
    raise ConfigError(
        f"rule {rule.name} has no B in layer {layer.name}: derive it from nowt.DrawnFeedback, which draws B, or "
        + ("register one in prepare() as feedback" if changed else "override send_back(); see docs/adding-a-rule.md")
    )


@torch.no_grad()
def copy_signs(layer: FeedbackLayer) -> None:
    """Give B the signs of W, in place."""
    torch.copysign(layer.feedback, layer.weight.detach(), out=layer.feedback)


def registered_state(layer: FeedbackLayer) -> dict[str, Tensor]:
    """Return the tensors that the rule registered on a layer, by name."""
    return {name: layer._parameters[name] for name in layer.state_names}  # type: ignore[misc]


def _view(
    layer: FeedbackLayer,
    state: dict[str, Tensor],
    streams: Callable[[str], RandomStream],
    group: Group | None,
    registers: bool = False,
) -> LayerView:
    return layer.make_view(
        layer.name,
        layer.geometry,
        state,
        streams,
        is_output=layer is layer.output_layer,
        weight_std=layer.weight_std,
        cache=layer.cache,
        network_outputs=_outputs(layer.output_layer),
        registers=registers,
        group=group,
    )


def _outputs(output: nn.Module) -> tuple[int, ...]:
    """Return the shape of one sample's output of the network's last layer."""
    if isinstance(output, FeedbackLayer):
        return output.geometry.output_shape
    weight = output.weight
    assert isinstance(weight, Tensor)
    return (len(weight),)
