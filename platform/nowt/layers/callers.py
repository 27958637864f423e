"""Tells whose code calls a layer's map: that of nowt and of the model, or other code, such as a rule's."""

import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType

IsForeign = Callable[[CodeType], bool]

GENERATED = ("<eval_with_key>", "<frozen ")  # forward passes that torch.fx writes, and Python's own import system


class Callers:
    """The Python frames above a block, in which maps are called.

    Args:
        is_foreign: Whether some code must not call a map.
    """

    def __init__(self, is_foreign: IsForeign) -> None:
        self._is_foreign = is_foreign
        self._above = set(_frames(sys._getframe(1)))
        self._known: dict[CodeType, bool] = {}

    def are_foreign(self) -> bool:
        """Return whether foreign code is among the callers within the block. Code that runs in a thread of its own, or
        that was made from text, is foreign."""
        for frame in _frames(sys._getframe(1)):
            if frame in self._above:
                return False
            if self._known.get(frame.f_code) is None:
                self._known[frame.f_code] = self._judge(frame.f_code)
            if self._known[frame.f_code]:
                return True
        return False  # in a thread of autograd, which has no Python frames

    def _judge(self, code: CodeType) -> bool:
        file = code.co_filename
        from_text = file.startswith("<") and not file.startswith(GENERATED)
        return from_text or file == threading.__file__ or self._is_foreign(code)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
