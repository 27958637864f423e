"""Which images were classified correctly, as text for an epoch log: base64 of one bit per image."""

import base64
import binascii

import numpy as np
from numpy.typing import NDArray

from nowt.core.errors import UserError


def pack_correct(correct: NDArray[np.bool_]) -> str:
    """Return a boolean vector as base64 of ``numpy.packbits``; 10,000 images take 1,668 characters."""
    return base64.b64encode(np.packbits(correct).tobytes()).decode()


def unpack_correct(text: str, images: int) -> NDArray[np.bool_]:
    """Return the boolean vector of ``images`` images that ``pack_correct`` wrote. Raises ValueError for another
    text."""
    try:
        packed = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise UserError(f"test_correct is not base64 ({error})") from None
    if len(packed) != (images + 7) // 8:
        raise UserError(f"test_correct has {len(packed)} bytes, which are not those of {images} images")
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=images).astype(bool)
