"""Traces every torch operation that reads the weights W of a network, and attributes each read to a reader.

Views of W are followed through their storage, and copies through the operations that create them. Two kinds of reads
are not visible: numbers that leave torch (``tolist``, a copied NumPy array), and operations that do not run while the
tracer is active.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nowt.evaluation.certify.linear_maps import mapped_input, reveals_weights
from nowt.evaluation.certify.phases import BACKWARD, BETWEEN, FORWARD, INITIALIZATION, OPTIMIZER, RULE_PHASES
from nowt.evaluation.certify.weight_reads import ReadCount, WeightRead, count_reads

COPIES = {"clone", "_to_copy"}

SHAPE_ONLY = {
    *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
    *("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
}

SIGNS = {"sign", "sgn", "signbit"}

COMPARISONS = {"gt", "ge", "lt", "le"}

LISTWISE = ("_foreach_", "_fused_sgd", "_fused_adam")  # prefixes of operations on lists, applied to each tensor


@dataclass(frozen=True)
class TrackedStorage:
    """A storage that holds the W of a layer, a copy of it, or optimizer state derived from it."""

    layer: str
    kind: str  # "weight", "copy" or "state"
    storage: StorageWeakRef


@dataclass(frozen=True)
class Operation:
    """What the tracer asks of a torch operation."""

    name: str
    shape_only: bool  # whether it returns a view, or uses only the shapes of its arguments
    writes: tuple[bool, ...]  # for each argument, whether the operation writes it


@cache
def _operation(func: Any) -> Operation:
    """Describe an operation once, since training repeats a few of them thousands of times."""
    name = str(func.overloadpacket.__name__)
    writes = (argument.alias_info is not None and argument.alias_info.is_write for argument in func._schema.arguments)
    return Operation(name, func.is_view or name in SHAPE_ONLY, tuple(writes))


class WeightReadTracer(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is untyped
    """Context manager that records in ``reads`` every operation of this thread that reads a W.

    Args:
        weights: W by layer name. Input and output sizes of each layer should differ, so that the shape distinguishes
            W from its transpose.
        backprop_layers: Names of the layers that use plain backprop instead of the rule.
        rule_state: The tensors that the rule registered on its layers (B among them). An operation that reads W and
            writes one of these is never attributed to the optimizer.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        backprop_layers: Sequence[str] = (),
        rule_state: Sequence[Tensor] = (),
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights = weights
        self.backprop_layers = set(backprop_layers)
        self.rule_state = {tensor.untyped_storage().data_ptr() for tensor in rule_state}
        self.phase = BETWEEN
        self.reads: list[WeightRead] = []
        self._active_layers: list[str] = []  # layers whose forward is running
        self._tracked: dict[int, TrackedStorage] = {}
        # the address also identifies W behind another storage object, such as that of torch.from_numpy
        self._addresses = {w.untyped_storage().data_ptr(): name for name, w in weights.items()}
        for name, weight in weights.items():
            self._track(weight, name, "weight")

    @contextmanager
    def trace(self, model: nn.Module) -> Iterator[None]:
        """Trace within the block, and keep track of which layer's forward is running."""
        hooks = []
        for name, module in model.named_modules():
            if name in self.weights:
                hooks.append(module.register_forward_pre_hook(lambda *_, name=name: self._active_layers.append(name)))
                hooks.append(module.register_forward_hook(lambda *_: _pop(self._active_layers), always_call=True))
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def enter_phase(self, phase: str) -> None:
        """Start ``phase``. Between steps, every copy of W that is still alive is recorded as a "kept copy"."""
        self.phase = phase
        if phase == BETWEEN:
            if self._living_copies():
                gc.collect()
            self.reads += [WeightRead(copy.layer, "kept copy", phase, "copy") for copy in self._living_copies()]

    def counts(self) -> tuple[ReadCount, ...]:
        """Return the reads, counted by reader, phase and operation."""
        return count_reads(self.reads)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation, and record which W it read."""
        kwargs = kwargs or {}
        operation = _operation(func)
        if operation.shape_only:
            return func(*args, **kwargs)
        name = operation.name
        layers = {found.layer: found for value in (*args, *kwargs.values()) for found in self._tracked_in(value)}
        if not layers or self._reads_shape_only(name, args):
            return func(*args, **kwargs)
        separate = all(self._stays_in_one_layer(operation, row) for row in _rows(name, args))
        readers = {layer: self._reader(layer, name, args, separate) for layer in layers}
        self.reads += [WeightRead(layer, reader, self.phase, name) for layer, reader in readers.items()]
        result = func(*args, **kwargs)
        self._track_results(readers, result)
        return result

    def _reader(self, layer: str, op: str, args: Sequence[Any], separate: bool) -> str:
        """Attribute the read. ``separate``: the operation mixes no two layers' W, and writes no rule state."""
        if self.phase == INITIALIZATION:
            return "start"
        if self.phase == OPTIMIZER and separate:
            return "optimizer"
        if self.phase == BACKWARD and layer in self.backprop_layers:
            return "backprop"
        if op in COPIES:
            return "copy"
        if self._reads_sign_only(op, args):
            return "sign"
        inputs = mapped_input(op, args, self.weights[layer], lambda value: bool(self._tracked_in(value)))
        if inputs is not None:
            return self._map_reader(layer, op, args, inputs)
        return "elsewhere"

    def _map_reader(self, layer: str, op: str, args: Sequence[Any], inputs: Tensor) -> str:
        """Attribute a forward map of ``inputs``, (positions, fan-in) or images, through W of ``layer``."""
        exact = reveals_weights(op, args, inputs)
        if self.phase == FORWARD and self._active_layers[-1:] == [layer] and not exact:
            return "forward map"
        if self.phase in RULE_PHASES:
            return "mirror map, exact" if exact else "mirror map"
        return "elsewhere"

    def _reads_sign_only(self, op: str, args: Sequence[Any]) -> bool:
        """Return whether the operation reveals only the sign of W: copysign(x, W), sign(W) and comparisons of W with
        0."""
        if op == "copysign":
            return not self._tracked_in(args[0])
        return op in SIGNS or (op in COMPARISONS and not isinstance(args[1], Tensor) and args[1] == 0)

    def _reads_shape_only(self, op: str, args: Sequence[Any]) -> bool:
        """Return whether the operation uses only the shape of W, as convolution_backward does without the input's
        gradient."""
        if op != "convolution_backward" or len(args) < 11:
            return False
        return not args[10][0] and not self._tracked_in(args[:2])

    def _track_results(self, readers: Mapping[str, str], result: Any) -> None:
        """Track copies of W and optimizer state among the results."""
        for layer, reader in readers.items():
            new = [t for t in tree_leaves(result) if isinstance(t, Tensor) and not self._tracked_in(t)]
            if reader == "copy" and new:
                self._track(new[0], layer, "copy")
            elif reader == "optimizer":
                for tensor in new:
                    self._track(tensor, layer, "state")

    def _track(self, tensor: Tensor, layer: str, kind: str) -> None:
        storage = _storage(tensor)
        self._tracked[storage.cdata] = TrackedStorage(layer, kind, storage)

    def _tracked_in(self, value: Any) -> list[TrackedStorage]:
        found = []
        for tensor in _tensors_in(value):
            storage = tensor.untyped_storage()
            tracked = self._tracked.get(storage._cdata)
            if tracked is None and (name := self._addresses.get(storage.data_ptr())):
                tracked = TrackedStorage(name, "weight", _storage(tensor))
            found += [tracked] if tracked is not None else []
        return found

    def _stays_in_one_layer(self, operation: Operation, args: Sequence[Any]) -> bool:
        """Return whether the operation reads the W of at most one layer, and then writes no rule state."""
        layers = {found.layer for value in args for found in self._tracked_in(value)}
        return len(layers) <= 1 and not (layers and self._writes_rule_state(operation, args))

    def _writes_rule_state(self, operation: Operation, args: Sequence[Any]) -> bool:
        written = tree_leaves([value for value, write in zip(args, operation.writes, strict=False) if write])
        return any(isinstance(t, Tensor) and t.untyped_storage().data_ptr() in self.rule_state for t in written)

    def _living_copies(self) -> list[TrackedStorage]:
        copies = [tracked for tracked in self._tracked.values() if tracked.kind == "copy"]
        return [copy for copy in copies if not copy.storage.expired()]  # type: ignore[no-untyped-call]


def _tensors_in(value: Any) -> Sequence[Tensor]:
    """Return the tensors in an argument. Most arguments are one tensor or numbers, which need no search."""
    if isinstance(value, Tensor):
        return (value,)
    if not isinstance(value, list | tuple | dict) or _are_numbers(value):
        return ()
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _are_numbers(values: Any) -> bool:
    return all(type(value) in (int, bool, float) for value in values) and not isinstance(values, dict)


def _storage(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _pop(active_layers: list[str]) -> None:
    active_layers.pop()  # a forward hook that returned the name would replace the layer's output


def _rows(op: str, args: Sequence[Any]) -> list[Sequence[Any]]:
    """Split the arguments of an operation on lists of tensors into one row per position in the lists."""
    if not op.startswith(LISTWISE):
        return [args]
    lists = [value for value in args if isinstance(value, list | tuple)]
    length = max(map(len, lists), default=0)
    return [[v[i] if isinstance(v, list | tuple) and i < len(v) else v for v in args] for i in range(length)]
