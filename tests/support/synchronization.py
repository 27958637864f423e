"""Training on the meta device, to find what would make a GPU wait or copy from the CPU, on a machine without a GPU."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig
from nowt.data.datasets import RunData
from nowt.training.loss import Totals
from nowt.training.optimizer import build_optimizer
from nowt.training.state import TrainingState

META = torch.device("meta")

# make a tensor from numbers of Python or NumPy: on a GPU, a copy from the CPU, for which the CPU waits
FROM_NUMBERS = (torch.tensor, torch.as_tensor, torch.from_numpy, Tensor.new_tensor)

# copy to the CPU and wait for all that was queued; torch refuses most of them on meta by itself
TO_NUMBERS = (Tensor.cpu, Tensor.numpy, Tensor.tolist, Tensor.item, Tensor.__bool__, Tensor.__float__, Tensor.__int__)


class _Calls(TorchFunctionMode):
    """Notes the calls that copy between CPU and device, in Python."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (*FROM_NUMBERS, *TO_NUMBERS):
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operations that read a number or that have a tensor on another device."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None) -> Any:
        # fused optimizers have no form for meta; all that they do is on the device
        result = None if func.name().startswith("aten::_fused_") else func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        if func is torch.ops.aten._local_scalar_dense.default or any(t.device != META for t in tensors):
            self.found.append(func.name())
        return result


@contextmanager
def copies_and_waits() -> Iterator[list[str]]:
    """Context manager that notes what copies between the CPU and the meta device, or waits for a number."""
    found: list[str] = []
    with _Calls(found), _Operations(found):
        yield found


def allow_meta(patch: pytest.MonkeyPatch) -> None:
    """Let code run on the meta device that torch lacks there: generators, autocast and fused optimizers."""
    generator, autocast = torch.Generator, torch.autocast
    patch.setattr(torch, "Generator", lambda device="cpu": generator())
    patch.setattr(torch, "autocast", lambda d, *a, **k: nullcontext() if d == "meta" else autocast(d, *a, **k))
    for name in ("torch.optim.sgd", "torch.optim.adam", "torch.optim.optimizer"):
        patch.setattr(sys.modules[name], "_get_fused_kernels_supported_devices", lambda: ["cpu", "meta"], raising=False)


def on_meta(config: RunConfig) -> TrainingState:
    """Return the training of ``config``, which was prepared on the CPU and is on the meta device."""
    cpu = Placement(device="cpu")
    training = TrainingState.create(config, cpu, RunData.of(config).open(cpu))
    training.rule_state.stepped = True  # reads all numbers after the first step of a process
    training.model.to(META)
    training.device, training.totals = META, Totals.zero(META)
    training.optimizer = build_optimizer(config.optim, training.model, training.layers)
    return training
