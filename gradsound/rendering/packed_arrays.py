"""Facts and arrays in as few bytes as possible, for a page that unpacks them.

The packed bytes are a stream of zlib. It has the length of a JSON text (u32), the text,
and the bytes of the arrays. The text has the name, the width of an item in bytes, and the
number of items of each array. Of the items of an array, all first bytes come first, then
all second ones: bytes that are alike are side by side.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_LEVEL = 9  # of zlib, the highest
_SPARE = np.uint32(1 << 8)  # of the bits of a float that a page shows: noise


def pack(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    r"""Returns facts and arrays as compressed bytes.

    Args:
        facts: Data fit for JSON.
        arrays: Arrays of any shape by name, of little-endian items.

    Example:
        >>> import zlib
        >>> packed = pack({"a": 1}, {"b": np.array([1, 2], "<u2")})
        >>> zlib.decompress(packed)[4:]
        b'{"a": 1, "arrays": [["b", 2, 2]]}\x01\x02\x00\x00'
    """
    entries = [[name, one.dtype.itemsize, one.size] for name, one in arrays.items()]
    # Without escapes, half a character of a name would not be UTF-8.
    text = json.dumps({**facts, "arrays": entries}).encode()
    compressor = zlib.compressobj(_LEVEL)
    parts = [compressor.compress(len(text).to_bytes(4, "little") + text)]
    for array in arrays.values():
        items = np.frombuffer(array.tobytes(), np.uint8).reshape(-1, array.dtype.itemsize)
        parts.append(compressor.compress(np.ascontiguousarray(items.T).tobytes()))
    return b"".join([*parts, compressor.flush()])


def differences(numbers: NDArray[np.int64]) -> NDArray[np.int32]:
    """Returns the first number and the differences of all others, modulo 2**32."""
    return np.diff(numbers, prepend=0).astype("<i4")


def round_floats(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns numbers to within 1 in 2**16; a page shows three digits of them.

    Example:
        >>> round_floats(np.array([1.2345678, np.inf, -1, 0], np.float32)).tolist()
        [1.234558..., inf, -1.0, 0.0]
    """
    bits = np.ascontiguousarray(numbers, "<f4").view("<u4")
    rounded = ((bits + _SPARE // 2) & ~(_SPARE - 1)).view("<f4")
    return np.where(np.isfinite(numbers) & np.isfinite(rounded), rounded, numbers)
