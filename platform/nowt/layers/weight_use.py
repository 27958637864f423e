"""Finds the weights that a forward pass multiplies with outside of their layer, where the error uses backprop."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

MATRIX_PRODUCTS = ("linear", "bilinear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "dot", "einsum")
SUMS_OF_PRODUCTS = ("addmm", "addmv", "addbmm", "baddbmm", "tensordot", "chain_matmul", "multi_dot")
CONVOLUTIONS = tuple(f"conv{transposed}{n}d" for transposed in ("", "_transpose") for n in (1, 2, 3))
ATTENTION = ("multi_head_attention_forward", "scaled_dot_product_attention")
PRODUCTS = frozenset((*MATRIX_PRODUCTS, *SUMS_OF_PRODUCTS, *CONVOLUTIONS, *ATTENTION))


class WeightUse(TorchFunctionMode):
    """Records which of some weights are factors of a product, also after a function such as a transpose.

    Attributes:
        used: The names of these weights.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.used: set[str] = set()
        self._inside = 0
        # tensors that weights are computed into; they are kept, so that no other tensor gets the id of one
        self._known: dict[int, tuple[Tensor, frozenset[str]]] = {}
        for name, weight in weights.items():
            others = self._known[id(weight)][1] if id(weight) in self._known else frozenset()
            self._known[id(weight)] = (weight, others | {name})

    @contextmanager
    def inside_layer(self) -> Iterator[None]:
        """Within the block, a layer uses its own weight, to which a rule applies."""
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
        name = getattr(func, "__name__", "")
        if self._inside or name == "embedding":  # an embedding passes no error on
            return result
        found = [self._known[id(leaf)] for leaf in tree_leaves((args, kwargs)) if id(leaf) in self._known]
        if found and name in PRODUCTS:
            self.used.update(*(names for _, names in found))
        elif found and isinstance(result, Tensor) and result.numel() == found[0][0].numel():
            # of the same size: a form of the weight, such as its transpose, and not activity that it is added to
            self._known[id(result)] = (result, found[0][1])
        return result
