"""Watches, operation by operation, what reads the weights W of a network, and who it is that reads.

Views of W are followed through their storage, copies through the operations that make them. What cannot be seen:
numbers that leave torch (``tolist``, a copied NumPy array) and operations that never run while the watch is on.
"""

import gc
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# The parts of a training step, in the order of nowt.training
START = "start"  # B is prepared

BEFORE_LEARNING = "before learning"

FORWARD = "forward pass"

BACKWARD = "backward pass"

CLIPPING = "clipping"

BEFORE_STEP = "before the step"

OPTIMISER = "optimiser"

AFTER_STEP = "after the step"

BETWEEN = "between steps"

MIRROR_PHASES = (BEFORE_LEARNING, AFTER_STEP)

COPIES = {"clone", "_to_copy"}

SHAPE_ONLY = {
    *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
    *("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
}

SIGNS = {"sign", "sgn", "signbit"}

COMPARISONS = {"gt", "ge", "lt", "le"}

LISTWISE = ("_foreach_", "_fused_sgd", "_fused_adam")  # each does the same to the tensors of a list, one by one


@dataclass(frozen=True)
class Read:
    """One operation that read a layer's W, or a copy of it."""

    layer: str
    reader: str
    phase: str
    op: str


@dataclass(frozen=True)
class Reads:
    """How often one reader read W, over the layers named."""

    reader: str
    phase: str
    op: str
    count: int
    layers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.reader}: {self.op} in the phase '{self.phase}', {self.count}×, layers {', '.join(self.layers)}"


@dataclass(frozen=True)
class Taint:
    """A storage that holds a layer's W, a copy of it, or something the optimiser made of it."""

    layer: str
    kind: str  # "weight", "copy" or "state"
    storage: StorageWeakRef


class WeightReadTracer(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is untyped
    """Within it, every operation of this thread that reads a W is put down in ``reads``.

    ``weights``: W by layer name; in and out sizes of each layer should differ, so that W and its transpose cannot be
    taken for each other. ``plain``: the names of layers that do backprop, not the rule. ``kept``: what the rule keeps
    on its layers (B), which no operation on W may write, not even while the optimiser steps.
    """

    def __init__(self, weights: Mapping[str, Tensor], plain: Sequence[str] = (), kept: Sequence[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights = weights
        self.plain = set(plain)
        self.kept = {tensor.untyped_storage().data_ptr() for tensor in kept}
        self.phase = BETWEEN
        self.reads: list[Read] = []
        self._inside: list[str] = []  # layers whose forward is running
        self._taints: dict[int, Taint] = {}
        # an address finds W also behind a storage of another's making (torch.from_numpy)
        self._addresses = {w.untyped_storage().data_ptr(): name for name, w in weights.items()}
        for name, weight in weights.items():
            self._mark(weight, name, "weight")

    @contextmanager
    def following(self, model: nn.Module) -> Iterator[None]:
        """Within it, the watch knows whose forward is running."""
        hooks = []
        for name, module in model.named_modules():
            if name in self.weights:
                hooks.append(module.register_forward_pre_hook(lambda *_, name=name: self._inside.append(name)))
                hooks.append(module.register_forward_hook(lambda *_: _forget(self._inside), always_call=True))
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def at(self, phase: str) -> None:
        """The step enters ``phase``; between steps, copies of W that are still alive are put down as kept."""
        self.phase = phase
        if phase == BETWEEN:
            if self._copies():
                gc.collect()
            self.reads += [Read(taint.layer, "kept copy", phase, "copy") for taint in self._copies()]

    def summary(self) -> tuple[Reads, ...]:
        """The reads, counted by reader, phase and operation."""
        counts = Counter((read.reader, read.phase, read.op) for read in self.reads)
        layers = {key: [r.layer for r in self.reads if (r.reader, r.phase, r.op) == key] for key in counts}
        return tuple(Reads(*key, count, tuple(dict.fromkeys(layers[key]))) for key, count in counts.items())

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation, and put down which W it read."""
        kwargs = kwargs or {}
        name = str(func.overloadpacket.__name__)
        found = {taint.layer: taint for value in (*args, *kwargs.values()) for taint in self._taints_of(value)}
        if not found or func.is_view or name in SHAPE_ONLY or self._asks_shape(name, args):
            return func(*args, **kwargs)
        alone = all(self._one_layers(func, row) for row in _rows(name, args))
        readers = {layer: self._reader(layer, name, args, alone) for layer in found}
        self.reads += [Read(layer, reader, self.phase, name) for layer, reader in readers.items()]
        result = func(*args, **kwargs)
        self._follow(readers, result)
        return result

    def _reader(self, layer: str, op: str, args: Sequence[Any], alone: bool) -> str:
        """Who it is that reads W of ``layer`` with ``op``; ``alone``: and of no other layer, nor writing a B."""
        if self.phase == START:
            return "start"
        if self.phase == OPTIMISER and alone:
            return "optimiser"
        if self.phase == BACKWARD and layer in self.plain:
            return "backprop"
        if op in COPIES:
            return "copy"
        if self._is_sign(op, args):
            return "sign"
        probes = _mapped(op, args, self.weights[layer], self)
        if probes is not None:
            return self._map_reader(layer, op, args, probes)
        return "elsewhere"

    def _map_reader(self, layer: str, op: str, args: Sequence[Any], probes: Tensor) -> str:
        """Who sends ``probes``, (positions, fan-in) or pictures, through W of ``layer``."""
        exact = _read_w_out(_patches(op, args, probes))
        if self.phase == FORWARD and self._inside[-1:] == [layer] and not exact:
            return "forward map"
        if self.phase in MIRROR_PHASES:
            return "mirror map, exact" if exact else "mirror map"
        return "elsewhere"

    def _is_sign(self, op: str, args: Sequence[Any]) -> bool:
        """copysign with W as the giver of signs, sign(W) and W > 0 show nothing else of W."""
        if op == "copysign":
            return not self._taints_of(args[0])
        return op in SIGNS or (op in COMPARISONS and not isinstance(args[1], Tensor) and args[1] == 0)

    def _follow(self, readers: Mapping[str, str], result: Any) -> None:
        """Mark what the operation made of W: a copy, or the optimiser's state."""
        for layer, reader in readers.items():
            made = [t for t in tree_leaves(result) if isinstance(t, Tensor) and not self._taints_of(t)]
            if reader == "copy" and made:
                self._mark(made[0], layer, "copy")
            elif reader == "optimiser":
                for tensor in made:
                    self._mark(tensor, layer, "state")

    def _mark(self, tensor: Tensor, layer: str, kind: str) -> None:
        storage = _storage(tensor)
        self._taints[storage.cdata] = Taint(layer, kind, storage)

    def _taints_of(self, value: Any) -> list[Taint]:
        found = []
        for tensor in tree_leaves(value):
            if isinstance(tensor, Tensor):
                storage = _storage(tensor)
                taint = self._taints.get(storage.cdata)
                if taint is None and (name := self._addresses.get(tensor.untyped_storage().data_ptr())):
                    taint = Taint(name, "weight", storage)
                found += [taint] if taint is not None else []
        return found

    def _asks_shape(self, op: str, args: Sequence[Any]) -> bool:
        """convolution_backward without the input's gradient asks its weight argument for its shape alone."""
        if op != "convolution_backward" or len(args) < 11:
            return False
        return not args[10][0] and not self._taints_of(args[:2])

    def _one_layers(self, func: Any, args: Sequence[Any]) -> bool:
        """Whether the operation reads the W of one layer at most, and then writes no B."""
        layers = {taint.layer for value in args for taint in self._taints_of(value)}
        return len(layers) <= 1 and not (layers and self._writes_kept(func, args))

    def _writes_kept(self, func: Any, args: Sequence[Any]) -> bool:
        places = [a.alias_info is not None and a.alias_info.is_write for a in func._schema.arguments]
        written = tree_leaves([value for value, write in zip(args, places, strict=False) if write])
        return any(isinstance(t, Tensor) and t.untyped_storage().data_ptr() in self.kept for t in written)

    def _copies(self) -> list[Taint]:
        return [t for t in self._taints.values() if t.kind == "copy" and not t.storage.expired()]  # type: ignore[no-untyped-call]


def _storage(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _forget(inside: list[str]) -> None:
    inside.pop()


def _rows(op: str, args: Sequence[Any]) -> list[Sequence[Any]]:
    """The arguments of an optimiser's operation on lists of tensors, one tensor of each list at a time."""
    if not op.startswith(LISTWISE):
        return [args]
    lists = [value for value in args if isinstance(value, list | tuple)]
    pick = range(max(map(len, lists), default=0))
    return [[v[i] if isinstance(v, list | tuple) and i < len(v) else v for v in args] for i in pick]


def _mapped(op: str, args: Sequence[Any], weight: Tensor, watch: WeightReadTracer) -> Tensor | None:
    """What is sent forward through W by a linear operation; None where it is something else."""
    if op == "convolution":
        fits = args[1].shape == weight.shape and not args[6] and not watch._taints_of(args[0])
        return args[0] if fits else None
    if op not in ("mm", "addmm"):
        return None
    left, right = args[-2:]
    if watch._taints_of(right):
        left, right = right.t(), left.t()
    fits = left.shape[1] == weight[0].numel() and not watch._taints_of(right)
    return right.t() if fits else None


def _patches(op: str, args: Sequence[Any], probes: Tensor) -> Tensor:
    """The inputs that meet the kernel, one a row: (samples · positions, fan-in)."""
    if op != "convolution":
        return probes
    _, weight, _, stride, padding, dilation = args[:6]
    channels = probes[:, : weight.shape[1]].double()
    unfolded = F.unfold(channels, weight.shape[2:], dilation, padding, stride)
    return unfolded.transpose(1, 2).flatten(0, 1)


def _read_w_out(patches: Tensor) -> bool:
    """Whether the inputs are orthogonal directions that together show every weight exactly."""
    patches = patches.double()
    if patches.shape[0] < patches.shape[1] or not _orthogonal(patches[:, :1].t() @ patches, len(patches)):
        return False  # seen on the first column already, which is cheap
    return _orthogonal(patches.t() @ patches, len(patches))


def _orthogonal(products: Tensor, inputs: int) -> bool:
    """Whether the first rows of a Gram matrix of so many inputs, or all, are all but 0 beside the diagonal: an eighth
    of the least that the largest of them is for independent noise."""
    size = products.diagonal().min()
    return bool(products.abs().fill_diagonal_(0).max() < 0.125 * size / inputs**0.5)
