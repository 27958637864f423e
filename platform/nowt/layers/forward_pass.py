"""Runs a model once on an example, to see which layers its forward pass calls, in which order, and what it returns."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from nowt.layers.model_state import in_mode, preserved_buffers, preserved_random_state
from nowt.layers.weight_use import WeightUse


@dataclass(frozen=True)
class ForwardPass:
    """What the forward pass of a model does with some of its layers.

    Attributes:
        map_sizes: The layers in the order of the forward pass in eval mode, each with the height and width of its input
            (None for linear layers).
        uncalled: The layers whose own forward is called neither in eval nor in train mode. Their weights are not used,
            or are used by a function, as those of attention often are.
        used_elsewhere: The names of weights of other layers and of embeddings that a function multiplies with, outside
            of their layer's forward, as in an output layer that shares the weight of an embedding.
    """

    map_sizes: dict[str, tuple[int, int] | None]
    uncalled: frozenset[str]
    used_elsewhere: frozenset[str] = frozenset()


def observe(model: nn.Module, layers: Mapping[str, nn.Module], example: Tensor) -> ForwardPass:
    """Run ``model`` on ``example`` and return how it uses ``layers``. Raises ValueError if the example does not fit."""
    order: dict[str, tuple[int, int] | None] = {}
    called: set[str] = set()
    use = WeightUse(_watched_weights(model, layers))
    with _recording_order(layers, order), _recording_calls(layers, called, use), use:
        run(model, example, training=False)
    if len(called) < len(layers):  # auxiliary classifiers, for example, are called in train mode only
        with _recording_calls(layers, called, use), use:
            run(model, example, training=True)
    uncalled = frozenset(layers) - called
    return ForwardPass(order, uncalled, frozenset(use.used) - {f"{name}.weight" for name in uncalled})


def _watched_weights(model: nn.Module, layers: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    embeddings = {name: module for name, module in model.named_modules() if isinstance(module, nn.Embedding)}
    owners = {**layers, **embeddings}
    return {f"{name}.weight".lstrip("."): cast(Tensor, module.weight) for name, module in owners.items()}


def run(model: nn.Module, example: Tensor, training: bool) -> Any:
    """Return the model's output for ``example`` without gradients. The model and torch's random state do not change.

    Raises ValueError if the example does not fit.
    """
    state = preserved_random_state(example.device)
    with _one_line_errors(example), in_mode(model, training), preserved_buffers(model), state, torch.no_grad():
        return model(example)


def materialize(model: nn.Module, example: Tensor | None) -> None:
    """Give lazy layers their weights by a forward pass on ``example``. Models without lazy layers are not run.

    The weights are drawn from torch's global generator. Raises ValueError if there is no example, or if it does not
    reach a lazy layer.
    """
    if example is not None and lazy_layers(model):
        with _one_line_errors(example), in_mode(model, training=False), torch.no_grad():
            model(example)
    if remaining := lazy_layers(model):
        name, kind = remaining[0]
        needed = "pass an example to attach" if example is None else "the forward pass must call it"
        raise ValueError(f"layer {name} is a {kind}, whose weight has no shape yet: {needed}")


def lazy_layers(model: nn.Module) -> list[tuple[str, str]]:
    """Return name and type of each module whose parameters have no shape yet."""
    return [
        (name, type(module).__name__)
        for name, module in model.named_modules()
        if any(map(nn.parameter.is_lazy, module.parameters(recurse=False)))
    ]


@contextmanager
def _one_line_errors(example: Tensor) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a custom model may raise anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"an example of shape {tuple(example.shape)} does not fit the model: {reason}") from error


@contextmanager
def _recording_order(layers: Mapping[str, nn.Module], order: dict[str, tuple[int, int] | None]) -> Iterator[None]:
    def record(name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        order.pop(name, None)  # a layer that is used twice counts where it is used last
        height, width = inputs[0].shape[-2:] if isinstance(module, nn.Conv2d) and inputs else (0, 0)
        order[name] = (int(height), int(width)) if height else None

    with ExitStack() as stack:
        for name, module in layers.items():
            hook = module.register_forward_pre_hook(lambda m, inputs, n=name: record(n, m, inputs))
            stack.callback(hook.remove)
        yield


@contextmanager
def _recording_calls(layers: Mapping[str, nn.Module], called: set[str], use: WeightUse) -> Iterator[None]:
    """Add the name of each layer to ``called`` when the forward of its class is called.

    A hook would not do: it misses ``layer.forward(x)``, and fires even if another function replaces a layer's forward.
    """
    kinds = {name: type(module) for name, module in layers.items()}
    try:
        for name, module in layers.items():
            module.__class__ = _WATCHED[kinds[name]]
            module.__dict__["watch"] = (name, called, use)
        yield
    finally:
        for name, module in layers.items():
            module.__class__ = kinds[name]
            module.__dict__.pop("watch", None)


class _WatchedConv2d(nn.Conv2d):
    watch: tuple[str, set[str], WeightUse]

    def forward(self, input: Tensor) -> Tensor:
        name, called, use = self.watch
        called.add(name)
        with use.inside_layer():
            return super().forward(input)


class _WatchedLinear(nn.Linear):
    watch: tuple[str, set[str], WeightUse]

    def forward(self, input: Tensor) -> Tensor:
        name, called, use = self.watch
        called.add(name)
        with use.inside_layer():
            return super().forward(input)


_WATCHED: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: _WatchedConv2d, nn.Linear: _WatchedLinear}
