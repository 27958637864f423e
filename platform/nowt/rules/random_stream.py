"""Random numbers for a rule, which cannot learn from them the seed that they come from."""

from collections.abc import Callable

import torch
from torch import Tensor

from nowt.core.seeding import seed_of


class RandomStream:
    """Fills tensors with random numbers, on any device. It shows neither its seed nor its state.

    A rule that knew the seed of the run could draw the initial W once more, and would know W without reading it.

    Example:
        >>> import torch
        >>> from nowt.rules.random_stream import RandomStream
        >>> RandomStream(0, "example").uniform_(torch.empty(2), 1.0, 2.0).ge(1).all()
        tensor(True)
    """

    __slots__ = ("_generator_on",)

    _generator_on: Callable[[torch.device], torch.Generator]

    def __init__(self, seed: int, purpose: str, *name: object) -> None:
        found: dict[torch.device, torch.Generator] = {}

        def generator_on(device: torch.device) -> torch.Generator:
            if device not in found:
                found[device] = torch.Generator(device).manual_seed(seed_of(seed, purpose, *name))
            return found[device]

        self._generator_on = generator_on

    def normal_(self, tensor: Tensor, std: float = 1.0) -> Tensor:
        """Fill the tensor with normal numbers of mean 0 and return it."""
        return tensor.normal_(0.0, std, generator=self._generator_on(tensor.device))

    def uniform_(self, tensor: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Fill the tensor with uniform numbers from [low, high) and return it."""
        return tensor.uniform_(low, high, generator=self._generator_on(tensor.device))

    def signs_(self, tensor: Tensor) -> Tensor:
        """Fill the tensor with +1 and -1 and return it."""
        return tensor.bernoulli_(0.5, generator=self._generator_on(tensor.device)).mul_(2).sub_(1)

    def permutation(self, size: int, device: torch.device | str = "cpu") -> Tensor:
        """Return the numbers from 0 to ``size`` - 1 in random order: (size,), int64."""
        where = torch.device(device)
        return torch.randperm(size, generator=self._generator_on(where), device=where)
