"""Rules that read W where torch's dispatcher does not see it."""

import copy
import ctypes
import io
import pickle
import threading

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from nowt.evaluation.certify.null_space import check_null_space
from nowt.rules.feedback_layer import FeedbackLayer
from tests.evaluation.cheats.cheat import Cheat
from tests.evaluation.cheats.follows_reading import FollowsReading, noisy


class NoisyNumpy(FollowsReading):
    """Copies W through NumPy, with 1 % of noise."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        return noisy(torch.from_numpy(layer.weight.detach().numpy().copy()))


class OffsetView(FollowsReading):
    """Looks at W's memory from its second number on."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        found = layer.feedback.detach().clone().flatten()
        found[1:] = torch.from_numpy(layer.weight.detach().numpy().reshape(-1)[1:])
        return found.view_as(layer.weight)


class InThread(FollowsReading):
    """Copies W in another thread."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        found: list[Tensor] = []
        thread = threading.Thread(target=lambda: found.append(noisy(layer.weight.detach())))
        thread.start()
        thread.join()
        return found[0]


class ByPickle(FollowsReading):
    """Pickles W."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        return noisy(pickle.loads(pickle.dumps(layer.weight.detach())))


class ByTorchSave(FollowsReading):
    """Saves W into memory and loads it."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        file = io.BytesIO()
        torch.save(layer.weight.detach(), file)
        file.seek(0)
        return noisy(torch.load(file))


class ByDeepcopy(FollowsReading):
    """Copies the whole layer."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        return noisy(copy.deepcopy(layer.weight).detach())


class ByBytes(FollowsReading):
    """Reads the bytes at W's address."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        raw = ctypes.string_at(layer.weight.data_ptr(), layer.weight.nbytes)
        return torch.frombuffer(bytearray(raw), dtype=layer.weight.dtype).view_as(layer.weight)


class ByNumbers(FollowsReading):
    """Turns W into a list of Python's numbers, and rounds them."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        return torch.tensor(np.round(layer.weight.tolist(), 4), dtype=layer.weight.dtype)


class WithoutDispatch(FollowsReading):
    """Switches torch's dispatch modes off."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        with _disable_current_modes():
            return noisy(layer.weight.detach())


class ReusedMemory(FollowsReading):
    """Frees a copy of W, and asks for empty memory of the same size."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        copied = layer.weight.detach().clone()
        del copied
        return torch.empty_like(layer.weight).nan_to_num(0, 0, 0).clamp(-10, 10)


class SharedMemory(FollowsReading):
    """Lets B point to W's memory."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        layer.feedback.data = layer.weight.data
        return layer.feedback.data


RULES = [
    *(NoisyNumpy, OffsetView, InThread, ByPickle, ByTorchSave, ByDeepcopy),
    *(ByBytes, ByNumbers, WithoutDispatch, ReusedMemory, SharedMemory),
]

CHEATS = [Cheat(rule(), check_null_space, "null space") for rule in RULES]
