"""What the rows on a GPU need of it, and what all searches on it share."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

CHUNK_NUMBERS = 8
"""Halves that a lane reads at once, 16 bytes; rows are filled up with zeros to a multiple of them."""
GROUPS, THREADS, LANES, ROWS_PER_BLOCK = 2048, 256, 16, 64
"""As in `kernels.cu`; the last is what a block of a scan takes at a time."""

Buffer = Any
"""An array on the device; what is done with it here is slicing, and asking for its `nbytes` and length."""


class DeviceFullError(Exception):
    """The device has no memory left for this."""


class DeviceLostError(Exception):
    """The device, its driver or a library of theirs failed; the message is for people."""


class Driver(Protocol):
    """A device with one stream; every call but `at_work` is made inside it, by one thread at a time."""

    processors: int
    multiplies: bool
    """Whether `product` can be called."""

    def at_work(self) -> AbstractContextManager[None]:
        """Make device and stream current.

        Raises:
            DeviceFullError: Something inside found no memory.
            DeviceLostError: Something inside failed otherwise.
        """

    def free_bytes(self) -> int:
        """Memory that nobody has taken."""

    def empty(self, items: int, dtype: type[np.generic]) -> Buffer:
        """Memory for so many items."""

    def upload(self, values: NDArray[Any], into: Buffer) -> None:
        """Copy an array to the beginning of a buffer; the array may be changed afterwards."""

    def download(self, source: Buffer) -> NDArray[Any]:
        """Wait for all that was asked for, and copy a buffer to the host."""

    def launch(self, kernel: str, grid: tuple[int, int], shared_bytes: int, *arguments: Buffer | int | None) -> None:
        """Start a kernel of `kernels.cu`; integers are 32-bit, None is null."""

    def product(self, rows: Buffer, step: int, count: int, queries: Buffer, width: int, scores: Buffer) -> None:
        """scores[q * count + i] = row i * step times query q: halves in, summed and given as float32."""

    def give_back(self) -> None:
        """Return memory that is no longer used to other programs."""


@dataclass
class Gpu:
    """A device and what all searches on it share.

    Attributes:
        on_full: Called with a mirror for which there was no memory; it is closed by then.
        on_lost: Called with a sentence when the device is lost, once.
    """

    driver: Driver
    on_full: Callable[[Any], object] = lambda rows: None
    on_lost: Callable[[str], object] = lambda reason: None
    lost: str = ""
    lock: Lock = field(default_factory=Lock)
    _buffers: dict[str, Buffer] = field(default_factory=dict)

    def buffer(self, name: str, items: int, dtype: type[np.generic]) -> Buffer:
        """Working memory under a name, of at least so many items; what was in it may be gone."""
        held = self._buffers.get(name)
        if held is None or len(held) < items:
            self._buffers.pop(name, None)
            held = self._buffers[name] = self.driver.empty(items, dtype)
        return held

    def maxima(self, queries: int) -> Buffer:
        """(queries, GROUPS) float32, all -inf, as every search leaves them."""
        held = self._buffers.get("maxima")
        if held is None or len(held) < queries * GROUPS:
            held = self.buffer("maxima", queries * GROUPS, np.float32)
            self.driver.launch("clear", (128, 1), 0, held, queries * GROUPS)
        return held

    def lose(self, reason: str) -> None:
        """Use the device no more in this process."""
        if not self.lost:
            self.lost = reason
            self._buffers.clear()
            self.on_lost(reason)
