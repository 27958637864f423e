"""The transforms of ``torch.func`` around a rule's backward path: ``grad``, ``vjp`` and ``vmap``, also of each other.

Custom functions have a second form for them, since torch inspects the signature of that form at every call (0.1 ms).
"""

import torch

from nowt.core.errors import ConfigError

TWICE = (
    "a rule's backward path cannot be differentiated again, nor by forward-mode differentiation: use one "
    "torch.func.grad or vjp, and no jvp or hessian; vmap may surround it"
)


def is_transformed() -> bool:
    """Return whether the code runs in a transform of ``torch.func``. Raises ConfigError if it differentiates twice.

    torch has no public question for it; this is the one that ``torch.autograd.Function`` itself asks.
    """
    if not torch._C._are_functorch_transforms_active() or torch.compiler.is_compiling():
        return False
    kinds = [one.key() for one in torch._C._functorch.get_interpreter_stack() or ()]
    known = torch._C._functorch.TransformType
    if kinds.count(known.Grad) > 1 or known.Jvp in kinds:  # torch would return zeros for the former
        raise ConfigError(TWICE)
    return True
