"""Poisoning: the memory of W holds garbage except where a layer maps with W and where the optimizer updates W.

Code that reads W anywhere else, by whatever means, reads garbage. What it computes then differs from the same training
without poisoning, which is otherwise the same bit for bit.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._python_dispatch import _disable_current_modes

from nowt.rules.feedback_layer import FeedbackLayer

# what may multiply with W: the forward map and the mirror map
MAPS = ("apply_with_feedback", "apply_plain", "apply_weight")


@contextmanager
def poisoned(
    layers: Sequence[FeedbackLayer], optimizer: Optimizer | None = None, generator: torch.Generator | None = None
) -> Iterator[None]:
    """Within the block, keep garbage in the memory of every W, and in the optimizer's state of W.

    W is true only while a layer's forward map or mirror map runs, and W and its state while the optimizer's step runs.
    All hooks run outside of these: those on W, on a layer, on saved tensors and on the optimizer. Modes of torch
    (``TorchDispatchMode``, ``TorchFunctionMode``) do not see these operations. Version counters do not change.

    After the block, W and the optimizer's state are what they would have been without it, bit for bit, also after an
    error. Layers that are not given stay true, so that backprop passes through them as ever. It is for eager mode and
    one thread. It needs twice the memory of W and its state, and runs each forward map twice.

    Args:
        layers: The layers, one of those that share a W. Nothing else may use their W (``layers_with_private_weights``).
        optimizer: The optimizer of W, if the block contains steps. Default None.
        generator: Draws the garbage: finite normal numbers with W's standard deviation. It is on the CPU. Default None:
            numbers from the operating system, which no code can foresee.

    Raises:
        RuntimeError: In the block, if a layer uses backprop's backward path (``using_backprop``), which would need the
            true W in the backward pass.
    """
    poison = _Poison(layers, optimizer, _from_the_system() if generator is None else generator)
    with ExitStack() as undo:
        undo.callback(poison.end)
        poison.hide()
        for layer in layers:
            for one in (layer, *layer.tied):
                undo.enter_context(_replaced_maps(one, poison.weights[id(layer.weight)]))
        if optimizer is not None:
            undo.enter_context(_step_window(optimizer, poison.begin_step, poison.end_step))
        yield


def _from_the_system() -> torch.Generator:
    stream = torch.Generator()
    stream.seed()
    return stream


class _Hidden:
    """A tensor whose memory holds garbage while its true values are kept aside."""

    def __init__(self, tensor: Tensor, stream: torch.Generator) -> None:
        self.tensor = tensor
        values = tensor.data
        # the true values stay in this one buffer: memory that is freed could be read
        self.true, self.garbage = torch.empty_like(values), torch.empty_like(values)
        noise = torch.randn(values.shape, generator=stream, dtype=torch.float64)
        self.garbage.copy_(noise * _scale(values))
        self.windows = 0

    def hide(self) -> None:
        """Keep the values that the tensor has now, and put garbage in their place."""
        self.true.copy_(self.tensor.data)
        self.tensor.data.copy_(self.garbage)

    def show(self) -> None:
        """Put the true values back."""
        self.tensor.data.copy_(self.true)

    @contextmanager
    def window(self) -> Iterator[None]:
        """Show the true values within the block; what it writes is lost."""
        self.windows += 1
        if self.windows == 1:
            self.show()
        try:
            yield
        finally:
            self.windows -= 1
            if self.windows == 0:
                self.tensor.data.copy_(self.garbage)


def _scale(values: Tensor) -> float:
    scale = float(values.double().std(correction=0))
    return scale if math.isfinite(scale) and scale > 0 else 1.0


class _Poison:
    """What is hidden: every W, and the optimizer's state of each.

    Attributes:
        weights: Each W, by its id.
    """

    def __init__(self, layers: Sequence[FeedbackLayer], optimizer: Optimizer | None, stream: torch.Generator) -> None:
        self.weights = {id(layer.weight): _Hidden(layer.weight, stream) for layer in layers}
        self._optimizer, self._stream = optimizer, stream
        self._state: dict[int, _Hidden] = {}
        self._shown = True
        self._in_step = ExitStack()

    def begin_step(self, *step: Any) -> None:
        """Show the true values to the optimizer's step alone; a hook of the optimizer."""
        self._in_step.enter_context(_without_modes())
        self.show()

    def end_step(self, *step: Any) -> None:
        """Hide what W and its state are after the step; a hook of the optimizer."""
        self.hide()
        self._in_step.close()

    def end(self) -> None:
        """End with the true values, also if the optimizer's step failed."""
        self._in_step.close()
        self.show()

    def hide(self) -> None:
        """Hide what W and its state are now."""
        if self._shown:
            self._find_state()
            for hidden in self._all():
                hidden.hide()
            self._shown = False

    def show(self) -> None:
        """Show the true values."""
        if not self._shown:
            for hidden in self._all():
                hidden.show()
            self._shown = True

    def _all(self) -> Iterable[_Hidden]:
        return (*self.weights.values(), *self._state.values())

    def _find_state(self) -> None:
        """Find the state tensors of each W, such as its momentum. The first step creates them."""
        if self._optimizer is None:
            return
        found = {}
        for weight in self.weights.values():
            for value in self._optimizer.state.get(weight.tensor, {}).values():
                if isinstance(value, Tensor) and value.dim() > 0 and value.is_floating_point():
                    found[id(value)] = self._state.get(id(value)) or _Hidden(value, self._stream)
        self._state = found


@contextmanager
def _replaced_maps(layer: FeedbackLayer, weight: _Hidden) -> Iterator[None]:
    """Let the layer's maps, and nothing around them, see the true W."""
    maps = {name: _mapped_with(weight, getattr(layer, name)) for name in MAPS}
    with replaced_methods(layer, {**maps, "forward": _forward_with(weight, layer)}):
        yield


@contextmanager
def replaced_methods(layer: FeedbackLayer, methods: Mapping[str, Callable[..., Tensor]]) -> Iterator[None]:
    """Context manager in which a layer has these functions in place of its methods, by name."""
    before = dict(vars(layer))
    vars(layer).update(methods)
    try:
        yield
    finally:
        for name in methods:
            vars(layer).pop(name)
            if name in before:
                vars(layer)[name] = before[name]


def _mapped_with(weight: _Hidden, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def mapped(*args: Any, **kwargs: Any) -> Tensor:
        # nothing is saved for a backward pass without a gradient, so no hook of saved tensors runs beside the true W
        with torch.no_grad(), _without_modes(), weight.window():
            y = function(*args, **kwargs)
        if not torch.is_grad_enabled():
            return y
        found = function(*args, **kwargs)  # of garbage, for the graph: no backward path of these maps uses W
        found.data.copy_(y)
        return found

    return mapped


def _forward_with(weight: _Hidden, layer: FeedbackLayer) -> Callable[..., Tensor]:
    function = layer.forward

    def forward(*args: Any, **kwargs: Any) -> Tensor:
        if torch.is_grad_enabled():
            if layer.use_backprop:
                raise RuntimeError(f"layer {layer.name} uses backprop, which needs the true W: W is poisoned")
            found: Tensor = function(*args, **kwargs)  # which calls the rule and one of the maps
            return found
        with _without_modes(), weight.window():
            plain: Tensor = function(*args, **kwargs)
            return plain

    return forward


@contextmanager
def _without_modes() -> Iterator[None]:
    """Show the operations of the block to none of torch's modes, which would receive the true W.

    They see the operations of a forward map once, with garbage, when it runs for the graph.
    """
    with _disable_current_modes(), torch._C.DisableTorchFunction():
        yield


class _StepHooks(OrderedDict[int, Callable[..., Any]]):
    """The hooks before or after an optimizer's step, between which and the step itself one more hook is called.

    The step asks for ``values``: this hook is the last one before it, or the first one after it, even if others are
    added later.
    """

    def __init__(self, hooks: OrderedDict[int, Callable[..., Any]], own: Callable[..., None], last: bool) -> None:
        super().__init__(hooks)
        self.own, self.last = own, last

    def values(self) -> list[Callable[..., Any]]:  # type: ignore[override]
        """Return all hooks in the order in which they are called."""
        others = list(super().values())
        return [*others, self.own] if self.last else [self.own, *others]


@contextmanager
def _step_window(optimizer: Optimizer, begin: Callable[..., None], end: Callable[..., None]) -> Iterator[None]:
    """Call ``begin`` and ``end`` around the optimizer's own work, inside of all its hooks."""
    names = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
    before = {name: getattr(optimizer, name) for name in names}
    for name, own in zip(names, (begin, end), strict=True):
        setattr(optimizer, name, _StepHooks(before[name], own, last=own is begin))
    try:
        yield
    finally:
        for name, hooks in before.items():
            hooks.update({key: hook for key, hook in getattr(optimizer, name).items() if key not in hooks})
            setattr(optimizer, name, hooks)
