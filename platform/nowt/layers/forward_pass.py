"""Runs a model once on an example, to see which layers its forward pass calls, in which order, and what it returns."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from nowt.core.random_state import preserved_random_state
from nowt.layers.inputs import Inputs, call, describe, device_of, map_tensors, mismatch
from nowt.layers.model_state import in_mode, preserved_buffers
from nowt.layers.weight_use import WeightUse

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)  # which pass no error on


@dataclass(frozen=True)
class ForwardPass:
    """What the forward pass of a model does with some of its layers.

    Attributes:
        map_sizes: The layers in the order of the forward pass in eval mode, each with the height and width of its input
            (None for linear layers).
        uncalled: The layers whose own forward is called neither in eval nor in train mode, or in whose place a function
            uses the weight in train mode. The weights of attention, for example, are often used by a function.
        used_elsewhere: The names of weights of called layers and of embeddings that a function multiplies with, outside
            of their layer's forward, as in an output layer that shares the weight of an embedding.
        added: The names of parameters of other modules through which no error passes, since they are only added to
            activity, scale it unit by unit, or are looked up: position embeddings, class tokens, layer scales.
    """

    map_sizes: dict[str, tuple[int, int] | None]
    uncalled: frozenset[str]
    used_elsewhere: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()


def observe(model: nn.Module, layers: Mapping[str, nn.Module], example: Inputs) -> ForwardPass:
    """Run ``model`` on ``example`` and return how it uses ``layers``. Raises ValueError if the example does not fit."""
    evaluated = _calls(model, layers, example, training=False)
    trained = _train_mode_calls(model, layers, example)
    # in train mode, a function may replace a layer that eval mode calls, as weight dropout does; a layer that is not
    # called at all in this pass may be skipped at random
    replaced = {name for name in layers if name not in trained.sizes and f"{name}.weight" in trained.use.used}
    uncalled = frozenset(layers) - ((evaluated.sizes.keys() | trained.sizes.keys()) - replaced)
    used = evaluated.use.used | trained.use.used
    elsewhere = frozenset(used) - {f"{name}.weight" for name in uncalled}
    added = (evaluated.use.added | trained.use.added) - (evaluated.use.maps | trained.use.maps)
    return ForwardPass(evaluated.sizes, uncalled, elsewhere, frozenset(added))


def matrices_of_other_modules(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> dict[str, Tensor]:
    """Return the parameters with two or more dimensions, by name, of modules that are neither embeddings nor of the
    classes ``kinds``."""
    return {
        name: parameter
        for owner, module in model.named_modules()
        if type(module) not in kinds and not isinstance(module, EMBEDDINGS)
        for name, parameter in module.named_parameters(owner, recurse=False)
        if parameter.dim() > 1
    }


def _weight_use(model: nn.Module, layers: Mapping[str, nn.Module]) -> WeightUse:
    embeddings = {name: module for name, module in model.named_modules() if isinstance(module, EMBEDDINGS)}
    owners = {**layers, **embeddings}
    weights = {f"{name}.weight".lstrip("."): cast(Tensor, module.weight) for name, module in owners.items()}
    others = matrices_of_other_modules(model, tuple(_WATCHED))
    watched = {id(tensor) for tensor in [*weights.values(), *others.values()]}
    rest = [tensor for tensor in [*model.parameters(), *model.buffers()] if id(tensor) not in watched]
    return WeightUse(weights, others, rest)


def run(model: nn.Module, example: Inputs, training: bool) -> Any:
    """Return the model's output for ``example`` without gradients. The model, the example and the random state do not
    change.

    Raises ValueError if the example does not fit.
    """
    state = preserved_random_state(device_of(model, example))
    inputs = map_tensors(Tensor.clone, example)  # the model may change its input in place
    with _one_line_errors(model, example), in_mode(model, training), preserved_buffers(model), state, torch.no_grad():
        return call(model, inputs)


def materialize(model: nn.Module, example: Inputs | None) -> None:
    """Give lazy layers their weights by a forward pass on ``example``. Models without lazy layers are not run.

    The weights are drawn from torch's global generator. Raises ValueError if there is no example, or if it does not
    reach a lazy layer.
    """
    if example is not None and lazy_layers(model):
        with _one_line_errors(model, example), in_mode(model, training=False), torch.no_grad():
            call(model, map_tensors(Tensor.clone, example))
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
def _one_line_errors(model: nn.Module, example: Inputs) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a custom model may raise anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        reason = mismatch(model, example, reason) or reason
        raise ValueError(f"an example of {describe(example)} does not fit the model: {reason}") from error


class _Calls:
    """The layers that a forward pass calls, and the weights that it uses outside of their layers.

    Attributes:
        sizes: The called layers, in order, each with the height and width of its input (None for linear layers).
        use: The use of weights outside of their layers.
    """

    def __init__(self, use: WeightUse) -> None:
        self.sizes: dict[str, tuple[int, int] | None] = {}
        self.use = use

    def add(self, name: str, layer: nn.Module, x: Tensor) -> AbstractContextManager[None]:
        """Record a call; the layer computes its output within the block that is returned."""
        self.sizes.pop(name, None)  # a layer that is called twice counts where it is called last
        self.sizes[name] = (int(x.shape[-2]), int(x.shape[-1])) if isinstance(layer, nn.Conv2d) else None
        return self.use.inside_layer(x)


def _calls(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    example: Inputs,
    training: bool,
) -> _Calls:
    calls = _Calls(_weight_use(model, layers))
    with _recording(layers, calls), calls.use:
        run(model, example, training)
    return calls


def _train_mode_calls(model: nn.Module, layers: Mapping[str, nn.Module], example: Inputs) -> _Calls:
    try:
        return _calls(model, layers, example, training=True)
    except ValueError:
        pair = map_tensors(_doubled, example)
        if describe(pair) == describe(example):
            raise
    # batch norm may need more than one sample
    return _calls(model, layers, pair, training=True)


def _doubled(x: Tensor) -> Tensor:
    """Return a batch of one sample as a batch of two; any other tensor as it is."""
    return torch.cat([x, x]) if x.dim() > 0 and len(x) == 1 else x


@contextmanager
def _recording(layers: Mapping[str, nn.Module], calls: _Calls) -> Iterator[None]:
    """Record each call of a layer's own forward.

    A hook would not do: it misses ``layer.forward(x)``, and fires even if another function replaces a layer's forward.
    """
    kinds = {name: type(module) for name, module in layers.items()}
    try:
        for name, module in layers.items():
            module.__class__ = _WATCHED[kinds[name]]
            module.__dict__["watch"] = (name, calls)
        yield
    finally:
        for name, module in layers.items():
            module.__class__ = kinds[name]
            module.__dict__.pop("watch", None)


class _WatchedConv2d(nn.Conv2d):
    watch: tuple[str, _Calls]

    def forward(self, input: Tensor) -> Tensor:
        name, calls = self.watch
        with calls.add(name, self, input):
            return super().forward(input)


class _WatchedLinear(nn.Linear):
    watch: tuple[str, _Calls]

    def forward(self, input: Tensor) -> Tensor:
        name, calls = self.watch
        with calls.add(name, self, input):
            return super().forward(input)


_WATCHED: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: _WatchedConv2d, nn.Linear: _WatchedLinear}
