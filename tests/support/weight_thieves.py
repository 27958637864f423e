"""Rules that reach W through the optimizer, hooks, hidden state or freed memory, or write into W."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nowt.rules.base import Rule
from nowt.rules.feedback import DrawnFeedback
from nowt.rules.initialization import Initialization
from nowt.rules.layer_view import LayerView
from tests.support.stolen_layers import stolen_layer, stolen_optimizer


@dataclass(frozen=True)
class FreedMemory(DrawnFeedback):
    """Asks for memory in which a copy of W was just freed."""

    name: ClassVar[str] = "freed memory"

    def after_step(self, layer: LayerView, step: int) -> None:
        copy = stolen_layer().weight.detach().clone()
        del copy
        layer.feedback.copy_(torch.empty_like(layer.feedback).nan_to_num(0, 0, 0).clamp(-10, 10))


@dataclass(frozen=True)
class OptimizerHook(DrawnFeedback):
    """Copies W to B in a hook of the optimizer's step."""

    name: ClassVar[str] = "optimizer hook"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    before: bool = False

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        whole, optimizer = stolen_layer(), stolen_optimizer()

        def read(*_: Any) -> None:
            torch._foreach_copy_([whole.feedback.data], [whole.weight.detach()])

        register = optimizer.register_step_pre_hook if self.before else optimizer.register_step_post_hook
        register(read)


@dataclass(frozen=True)
class ParameterGroups(DrawnFeedback):
    """Finds W in the optimizer's parameter groups."""

    name: ClassVar[str] = "parameter groups"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        for group in stolen_optimizer().param_groups:
            for parameter in group["params"]:
                if parameter.shape == layer.feedback.shape:
                    layer.feedback.data.copy_(parameter.data)


@dataclass(frozen=True)
class SavedTensorHook(DrawnFeedback):
    """Reads W when autograd saves the input of its layer."""

    name: ClassVar[str] = "saved tensor hook"

    def feedback(self, layer: LayerView) -> Tensor:
        whole = stolen_layer()

        def read(saved: Tensor) -> Tensor:
            whole.feedback.data.copy_(whole.weight.detach())
            return saved

        if "hooked" not in vars(whole):
            vars(whole)["hooked"] = torch.autograd.graph.saved_tensors_hooks(read, lambda saved: saved)
            vars(whole)["hooked"].__enter__()
        return super().feedback(layer)

    def after_step(self, layer: LayerView, step: int) -> None:
        whole = stolen_layer()
        if "hooked" in vars(whole):
            vars(whole).pop("hooked").__exit__(None, None, None)


class _Spy(TorchDispatchMode):
    """Keeps a copy of each matrix or kernel that an operation receives, by its shape."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[tuple[int, ...], Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.reads(func):
            for value in tree_leaves(args[:1] if "sgd" in str(func) else args):
                if isinstance(value, Tensor) and value.dim() > 1:
                    self.seen.setdefault(tuple(value.shape), value.detach().clone())
        return func(*args, **(kwargs or {}))

    def reads(self, func: Any) -> bool:
        """Return whether to read what ``func`` receives."""
        return "convolution" in str(func) or "addmm" in str(func)


class _StepSpy(_Spy):
    """Reads what the optimizer's step receives."""

    def reads(self, func: Any) -> bool:
        return "sgd" in str(func)


class _FunctionSpy(TorchFunctionMode):
    """Keeps a copy of each matrix or kernel that a function of torch receives, by its shape."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[tuple[int, ...], Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("linear", "conv2d"):
            self.seen.setdefault(tuple(args[1].shape), args[1].detach().clone())
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Spies(DrawnFeedback):
    """Looks at the operations that use W, from the first forward pass to the first update of B."""

    name: ClassVar[str] = "spies"

    spy: Literal["maps", "functions", "step"] = "maps"

    def feedback(self, layer: LayerView) -> Tensor:
        if stolen_layer().name == "conv1" and (spy := _SPIES.get(self.spy)) is None:
            spy = _SPIES[self.spy] = {"maps": _Spy, "functions": _FunctionSpy, "step": _StepSpy}[self.spy]()
            spy.__enter__()
        return super().feedback(layer)

    def after_step(self, layer: LayerView, step: int) -> None:
        if (spy := _SPIES.get(self.spy)) is not None:
            seen = spy.seen.get(layer.weight_shape, layer.feedback)
            layer.feedback.lerp_(seen, 0.1)
            if layer.is_output:
                _SPIES.pop(self.spy).__exit__(None, None, None)


_SPIES: dict[str, Any] = {}


@dataclass(frozen=True)
class Shadow(DrawnFeedback):
    """Keeps W as it was at preparation, moves it by W's own gradients, and sends the error back through it."""

    name: ClassVar[str] = "shadow"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    def prepare(self, layer: LayerView) -> None:
        vars(stolen_layer())["shadow"] = stolen_layer().weight.detach().clone()

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        shadow = vars(stolen_layer())["shadow"]
        shadow.sub_(gradient + weight_decay * shadow, alpha=lr)

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.copy_(vars(stolen_layer())["shadow"])


@dataclass(frozen=True)
class EarlyShadow(Shadow):
    """Keeps W when it is asked how to draw B, before nowt does so."""

    name: ClassVar[str] = "early shadow"

    def initialization(self) -> Initialization:
        with suppress(LookupError):  # it is also asked before there is a layer
            vars(stolen_layer()).setdefault("shadow", stolen_layer().weight.detach().clone())
        return super().initialization()

    def prepare(self, layer: LayerView) -> None:
        pass


@dataclass(frozen=True)
class WritesW(DrawnFeedback):
    """Moves W to B, which stays as it is."""

    name: ClassVar[str] = "writes W"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        weight = stolen_layer().weight.detach().numpy()
        weight += 0.1 * (layer.feedback.detach().numpy() - weight)


@dataclass(frozen=True)
class WritesWOnce(DrawnFeedback):
    """Sets W to B in the forward pass of the first step."""

    name: ClassVar[str] = "writes W once"

    def feedback(self, layer: LayerView) -> Tensor:
        whole = stolen_layer()
        if "written" not in vars(whole):
            vars(whole)["written"] = True
            whole.weight.data.copy_(layer.feedback)
        return super().feedback(layer)


THIEVES: list[Rule] = [
    FreedMemory(),
    OptimizerHook(before=True),
    OptimizerHook(before=False),
    ParameterGroups(),
    SavedTensorHook(),
    Spies(spy="maps"),
    Spies(spy="functions"),
    Spies(spy="step"),
    Shadow(),
    EarlyShadow(),
    WritesW(),
    WritesWOnce(),
]
