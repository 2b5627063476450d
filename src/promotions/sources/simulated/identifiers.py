"""Identifiers as X5 writes them, ten hexadecimal digits, and fixed-width strings as Arrow columns without a loop."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Strings = NDArray[np.bytes_]

DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
SHIFTS = np.arange(36, -4, -4, dtype=np.uint64)
STEP = np.uint64(0x9E3779B97F)  # odd, and 2^40 divided by the golden ratio: neighbours in count are far apart in id
MODULUS = np.uint64(2**40)


class Identifiers:
    """Identifiers that never repeat: number k of the run is (start + k·STEP) mod 2^40, a bijection as STEP is odd."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._next = np.uint64(rng.integers(2**40, dtype=np.uint64))

    def take(self, count: int) -> Strings:
        """The next ``count`` identifiers."""
        numbers = (self._next + np.arange(count, dtype=np.uint64) * STEP) % MODULUS
        self._next = (self._next + np.uint64(count) * STEP) % MODULUS
        digits: Strings = DIGITS[(numbers[:, None] >> SHIFTS) & np.uint64(15)].view("S10")[:, 0]
        return digits


def string_column(values: Strings) -> pa.Array:
    """An Arrow string column of strings that fill their fixed width; shares the memory of ``values``."""
    width = values.dtype.itemsize
    offsets = np.arange(0, width * (len(values) + 1), width, dtype=np.int32)
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(values.view(np.uint8)))
