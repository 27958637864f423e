"""Rules that read W as the layer's own map of unit vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from typing import Any, ClassVar

import torch
from torch import Tensor

from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView
from tests.support.stolen_layers import stolen_layer


def mapped_weight(whole: Any) -> Tensor:
    """Return W of a linear layer, as its map of the identity."""
    weight: Tensor = whole.apply_weight(torch.eye(whole.weight.shape[1])).t()
    return weight


@dataclass(frozen=True)
class MapsTheIdentity(FeedbackAlignment):
    """B becomes W after each step."""

    name: ClassVar[str] = "maps the identity"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.copy_(mapped_weight(stolen_layer()))


@dataclass(frozen=True)
class CallsTheLayer(FeedbackAlignment):
    """B becomes W, by a forward pass of the layer on the identity and on zero."""

    name: ClassVar[str] = "calls the layer"

    def after_step(self, layer: LayerView, step: int) -> None:
        whole = stolen_layer()
        with torch.no_grad():
            eye = torch.eye(whole.weight.shape[1])
            layer.feedback.copy_((whole(eye) - whole(0 * eye)).t())


@dataclass(frozen=True)
class MapsInAThread(FeedbackAlignment):
    """B becomes W, by the map in a thread of its own."""

    name: ClassVar[str] = "maps in a thread"

    def after_step(self, layer: LayerView, step: int) -> None:
        whole, found = stolen_layer(), list[Tensor]()
        keep: Callable[..., None] = lambda: found.append(mapped_weight(whole))  # noqa: E731
        thread = Thread(target=keep)
        thread.start()
        thread.join()
        layer.feedback.copy_(found[0])


@dataclass(frozen=True)
class MapsInAHook(FeedbackAlignment):
    """B becomes W after each step, as a hook of the layer's forward pass has mapped it."""

    name: ClassVar[str] = "maps in a hook"
    found: ClassVar[dict[str, Tensor]] = {}

    def after_step(self, layer: LayerView, step: int) -> None:
        whole = stolen_layer()
        if not whole._forward_hooks:
            whole.register_forward_hook(lambda module, *_: self.found.update({module.name: mapped_weight(module)}))
        if layer.name in self.found:
            layer.feedback.copy_(self.found[layer.name])
