"""What a learning rule sees of a layer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nowt.core.distributed import SINGLE_WORKER, Group
from nowt.core.errors import ConfigError
from nowt.rules.geometry import Geometry
from nowt.rules.random_stream import RandomStream

STATE = "register it with layer.register_state in prepare(), and change it in place"


class LayerView:
    """One layer as its rule sees it: shapes, B and other registered state, and products that need no W.

    It holds no reference to W, the module, the optimizer, the config or a seed. What a rule learns from, it declares as
    ``signals`` and receives as arguments. Registered state is an attribute: ``layer.feedback`` is B. No other attribute
    can be set, since no checkpoint would contain it.

    Attributes:
        name: Dotted name of the layer in its model.
        is_output: Whether it is the last layer of the network.
        geometry: Shapes of the layer's map.
        weight_std: W's standard deviation at initialization, () of W's dtype.
        cache: Tensors that a rule keeps from a method to a later one of the same training step. It is empty at the
            start of each step.
        network_outputs: Shape of one sample's output of the network's last layer.

    Example:
        A rule whose B drifts along the correlation of its layer's input and output:

        >>> from dataclasses import dataclass
        >>> from typing import ClassVar
        >>> import torch
        >>> from nowt import DrawnFeedback, attach
        >>> @dataclass(frozen=True)
        ... class Hebbian(DrawnFeedback):
        ...     name: ClassVar[str] = "hebbian"
        ...     signals: ClassVar[tuple[str, ...]] = ("input", "preactivation")
        ...
        ...     def observe(self, layer, x, y):
        ...         layer.cache["correlation"] = layer.outer_product(x, y)
        ...
        ...     def after_step(self, layer, step):
        ...         correlation = layer.sum_over_workers(layer.cache["correlation"])
        ...         layer.feedback.mul_(0.99).add_(correlation, alpha=0.01)
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2))
        >>> (layer,) = feedback = attach(model, Hebbian())
        >>> before = layer.feedback.clone()
        >>> model(torch.ones(1, 3)).sum().backward()
        >>> feedback.step(torch.optim.SGD(model.parameters(), lr=0.1))
        >>> torch.equal(layer.feedback, before)
        False
    """

    __slots__ = (
        "_group",
        "_registers",
        "_seed",
        "_state",
        "cache",
        "geometry",
        "is_output",
        "name",
        "network_outputs",
        "weight_std",
    )

    name: str
    is_output: bool
    geometry: Geometry
    weight_std: Tensor
    cache: dict[str, Tensor]
    network_outputs: tuple[int, ...]

    def __init__(
        self,
        name: str,
        geometry: Geometry,
        state: dict[str, Tensor],
        streams: Callable[[str], RandomStream],
        *,
        is_output: bool,
        weight_std: Tensor,
        cache: dict[str, Tensor],
        network_outputs: tuple[int, ...],
        registers: bool = False,
        group: Group | None = SINGLE_WORKER,
    ) -> None:
        for slot, value in {
            "name": name,
            "geometry": geometry,
            "is_output": is_output,
            "weight_std": weight_std,
            "cache": cache,
            "network_outputs": network_outputs,
            "_state": state,
            "_seed": streams,
            "_registers": registers,
            "_group": group,
        }.items():
            object.__setattr__(self, slot, value)

    def __getattr__(self, name: str) -> Any:  # a Tensor; Any, since a rule may call its methods
        """Return the state that the rule registered under ``name``."""
        state = object.__getattribute__(self, "_state") if not name.startswith("_") else {}
        if name in state:
            return state[name]
        if name in ("weight", "bias"):
            raise AttributeError(
                f"a rule receives no {name} of layer {self.name}: to read W on purpose, declare the signal 'weight' "
                "and define observe_weight()"
            )
        raise AttributeError(
            f"layer {self.name} has no registered state {name!r}; it has: {', '.join(state) or 'none'}"
        )

    def __setattr__(self, name: str, value: object) -> None:
        """Raise ConfigError: what a rule sets on a layer would be lost when a run resumes. ``layer.trace += 1`` changes
        registered state in place, and is allowed."""
        if self._state.get(name) is value and value is not None:
            return
        if name in self._state:
            raise ConfigError(
                f"the rule replaces {name!r} of layer {self.name}: change it in place, such as by "
                f"layer.{name}.copy_(...)"
            )
        raise ConfigError(
            f"the rule sets attribute {name!r} of layer {self.name}, which no checkpoint contains: {STATE}; what is "
            "needed in the same step only belongs into layer.cache"
        )

    @property
    def state(self) -> dict[str, Tensor]:
        """The registered tensors by name, B among them."""
        return dict(self._state)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of W: (out, in) or (out, in / groups, kh, kw)."""
        return self.geometry.weight_shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample's input: (in,), (channels, height, width), or (channels,) without an example input."""
        return self.geometry.input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one sample's output: (out,), (channels, height, width), or (channels,)."""
        return self.geometry.output_shape

    def register_state(self, name: str, value: Tensor) -> None:
        """Register a tensor that is saved and moved with the layer and never receives a gradient. In ``prepare`` only.

        Raises ConfigError elsewhere, and if the layer has a tensor of that name.
        """
        if not self._registers:
            raise ConfigError(f"the rule registers {name!r} on layer {self.name} after prepare(): {STATE}")
        if name in self._state or name in ("weight", "bias"):
            raise ConfigError(f"the rule registers {name!r} on layer {self.name} twice: each name is for one tensor")
        self._state[name] = value.detach().clone()

    def new_zeros(self, *shape: int) -> Tensor:
        """Return zeros of the dtype and on the device of W."""
        return self.weight_std.new_zeros(shape)

    def random(self, purpose: str) -> RandomStream:
        """Return random numbers for one purpose. They depend on the seed, the layer and, after a step, the step."""
        stream: RandomStream = self._seed(purpose)
        return stream

    def outer_product(self, x: Tensor, error: Tensor) -> Tensor:
        """Return Σ error xᵀ over samples and positions, in W's shape. ``x`` is an input of the layer; ``error`` has the
        shape of its output."""
        like = self._state.get("feedback")
        fits = like is not None and tuple(like.shape) == self.weight_shape
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            return self.geometry.outer_product(x, error, like.to(error.dtype) if fits and like is not None else None)

    def send_back(self, error: Tensor, x: Tensor) -> Tensor:
        """Return the error at the input ``x`` that passes back through B: Bᵀ error, in the shape of ``x``."""
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            return self.geometry.send_back(error, self._state["feedback"], x.shape)

    def tap_counts(self, x: Tensor) -> Tensor | int:
        """Return how many samples and positions of input ``x`` reach each tap of the kernel."""
        return self.geometry.tap_counts(x)

    def sum_over_workers(self, value: Tensor) -> Tensor:
        """Replace ``value`` by its sum over the workers of the run, and return it. All workers must call it.

        Raises ConfigError in ``observe``, ``observe_error`` and ``send_back``, which may run at different times.
        """
        if self._group is None:
            raise ConfigError(
                f"the rule calls sum_over_workers() or center() in the forward or backward pass of layer {self.name}: "
                "keep the values in layer.cache, and call it in after_step()"
            )
        self._group.sum([value])
        return value

    def center(self, values: Tensor) -> Tensor:
        """Return ``values`` minus their mean over the samples and positions of all workers, for each unit. It calls
        ``sum_over_workers``, so it is for ``after_step``.

        ``values`` are an input or output of the layer: (..., units) or (N, channels, H, W).
        """
        unit = 1 if len(self.weight_shape) == 4 else values.dim() - 1
        others = [dim for dim in range(values.dim()) if dim != unit]
        sums = self.sum_over_workers(values.sum(others, keepdim=True))
        # filled on the device: new_tensor would copy the number from the CPU, for which a step waits
        count = self.sum_over_workers(values.new_full((), values.numel() // values.shape[unit]))
        return values - sums / count
