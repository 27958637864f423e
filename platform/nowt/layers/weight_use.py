"""Finds the weights that a forward pass multiplies with outside of their layer, where the error uses backprop."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

MATRIX_PRODUCTS = ("linear", "bilinear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "dot", "einsum")
SUMS_OF_PRODUCTS = ("addmm", "addmv", "addbmm", "baddbmm", "tensordot", "chain_matmul", "multi_dot")
CONVOLUTIONS = tuple(f"conv{transposed}{n}d" for transposed in ("", "_transpose") for n in (1, 2, 3))
ATTENTION = ("multi_head_attention_forward", "scaled_dot_product_attention")
PRODUCTS = frozenset((*MATRIX_PRODUCTS, *SUMS_OF_PRODUCTS, *CONVOLUTIONS, *ATTENTION))

# functions of activity and a parameter through which no error passes back to the activity by way of the parameter
SUMS = ("add", "__add__", "__radd__", "__iadd__", "sub", "__sub__", "__rsub__", "__isub__", "subtract", "rsub")
JOINS = ("cat", "concat", "concatenate", "stack", "hstack", "vstack", "where", "masked_scatter", "__setitem__")
ADDITIONS = frozenset((*SUMS, *JOINS, "add_", "sub_", "masked_scatter_", "copy_", "index_copy_"))

# functions that scale each unit of the activity by itself, as batch norm does
SCALINGS = ("mul", "__mul__", "__rmul__", "__imul__", "multiply", "div", "__truediv__", "__itruediv__", "true_divide")
GAINS = frozenset((*SCALINGS, "mul_", "div_"))
NORMS = frozenset(("layer_norm", "rms_norm", "group_norm", "instance_norm", "batch_norm"))

SHAPED_AS = frozenset(
    ("expand_as", "view_as", "reshape_as", "type_as", "to")
)  # another tensor, whose values are unused
TOTALS = frozenset(("sum", "mean"))
LOOKUPS = frozenset(("embedding", "embedding_bag"))  # they pass no error on


class WeightUse(TorchFunctionMode):
    """Records which of some weights are factors of a product, also after a function such as a transpose.

    Args:
        weights: The weights of layers to which rules apply, and of embeddings, by name.
        others: Parameters of other layers, by name.
        constants: Tensors that do not depend on the input, such as buffers.

    Attributes:
        used: The names of the ``weights`` that are factors of a product outside of their layer.
        maps: The names of the ``others`` that are such factors, or that an unknown function combines with activity.
        added: The names of the ``others`` that are added to activity, scale it unit by unit, or are looked up.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        others: Mapping[str, Tensor] | None = None,
        constants: Iterable[Tensor] = (),
    ) -> None:
        super().__init__()
        self.used: set[str] = set()
        self.maps: set[str] = set()
        self.added: set[str] = set()
        self._others = frozenset(others or {})
        self._inside = 0
        # tensors that weights are computed into, whether from nothing else; they are kept, so that no other tensor gets
        # the id of one
        self._known: dict[int, tuple[Tensor, frozenset[str], bool]] = {}
        for name, weight in [*weights.items(), *(others or {}).items()]:
            self._add(weight, self._names(weight) | {name}, pure=True)
        self._constants = WeakTensorKeyDictionary({tensor: True for tensor in constants})
        self._scaled: tuple[Tensor | None, frozenset[str]] = (None, frozenset())  # the last result of a gain

    @contextmanager
    def inside_layer(self, x: Tensor) -> Iterator[None]:
        """Within the block, a layer uses its own weight, to which a rule applies; ``x`` is its input."""
        self.added |= self._names(x) & self._others
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call ``func`` and record the weights among its arguments."""
        result = func(*args, **(kwargs or {}))
        if self._inside:
            return result
        name = getattr(func, "__name__", "")
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if name in SHAPED_AS:
            tensors = tensors[:1]
        activity = [tensor for tensor in tensors if self._is_activity(tensor)]
        self._record(name, self._names(*tensors), activity, result)
        if tensors and name in TOTALS and tensors[0] is self._scaled[0]:
            self.maps |= self._scaled[1]  # a product with a vector, by hand
        if activity and _is_in_place(name) and tensors[0] in self._constants:
            del self._constants[tensors[0]]
        if name not in LOOKUPS:
            self._follow(name, tensors, activity, result)
        return result

    def _record(self, name: str, names: frozenset[str], activity: Sequence[Tensor], result: Any) -> None:
        """Record how a function uses the weights ``names``."""
        others = names & self._others
        if name in PRODUCTS:
            self.used |= names - others
            self.maps |= others
        elif name in LOOKUPS:
            self.added |= others
        elif not others or not activity:
            return
        elif name in GAINS and not _grows(result, activity):
            self.added |= others
            self._scaled = (result, others)
        elif name in ADDITIONS | NORMS:
            self.added |= others
        else:
            self.maps |= others

    def _follow(self, name: str, tensors: Sequence[Tensor], activity: Sequence[Tensor], result: Any) -> None:
        """Note whether a function's result is a form of weights or a constant. Any other tensor counts as activity."""
        names = self._names(*tensors)
        unknown = [tensor for tensor in tensors if not self._names(tensor) and tensor not in self._constants]
        for tensor in tree_leaves(result):
            if not isinstance(tensor, Tensor):
                continue
            if names and not activity:
                self._add(tensor, names, pure=True)
            elif names and name not in ADDITIONS | NORMS and tensor.numel() == self._size(tensors):
                self._add(tensor, names, pure=False)  # of the weight's size: the weight, changed by activity
            elif not names and not unknown:
                self._constants[tensor] = True

    def _size(self, tensors: Iterable[Tensor]) -> int:
        """Return the size of the first weight among the tensors."""
        return next(tensor.numel() for tensor in tensors if self._names(tensor))

    def _add(self, tensor: Tensor, names: frozenset[str], pure: bool) -> None:
        self._known[id(tensor)] = (tensor, names, pure)

    def _names(self, *tensors: Tensor) -> frozenset[str]:
        """Return the names of the weights that the tensors are forms of."""
        found = (self._known[id(tensor)][1] for tensor in tensors if id(tensor) in self._known)
        return frozenset[str]().union(*found)

    def _is_activity(self, tensor: Tensor) -> bool:
        """Return whether an error may pass back through the tensor, which is so if nothing is known of it."""
        pure = id(tensor) in self._known and self._known[id(tensor)][2]
        return tensor.is_floating_point() and not pure and tensor not in self._constants


def _is_in_place(name: str) -> bool:
    return name == "__setitem__" or name.startswith("__i") or (name.endswith("_") and not name.endswith("__"))


def _grows(result: Any, activity: Sequence[Tensor]) -> bool:
    """Return whether the result is larger than the activity: then each unit acts on several others."""
    return isinstance(result, Tensor) and result.numel() > max(tensor.numel() for tensor in activity)
