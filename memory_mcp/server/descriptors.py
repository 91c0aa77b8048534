"""Keeping stdin and stdout for the protocol alone.

The wire is moved to descriptors of its own, so that a stray print or a child process cannot write into it.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from memory_mcp.front.descriptors import fill_holes


@dataclass(frozen=True, slots=True)
class Wire:
    """The descriptors that lead to the client."""

    incoming: int
    outgoing: int


@contextmanager
def claim_wire() -> Iterator[Wire]:
    """Take stdin and stdout for the protocol; meanwhile reading 0 finds its end and writing 1 goes to stderr.

    A standard descriptor that is closed counts as the null device: an absent stdin is one at its end.
    """
    fill_holes()
    given = sys.__stdin__ is not None, sys.__stdout__ is not None  # as Python found them when it started
    wire = Wire(os.dup(0) if given[0] else _null(), os.dup(1) if given[1] else _null())
    if given[0]:
        _divert(0, elsewhere := _null())
        os.close(elsewhere)
    if given[1]:
        _divert(1, 2)
    _flush_prints()  # what was printed before goes to stderr as well
    try:
        yield wire
    finally:
        _flush_prints()
        for fd, private in (0, wire.incoming), (1, wire.outgoing):
            if given[fd]:
                _divert(fd, private)  # which is not closed: a thread may still be blocked on it


def _flush_prints() -> None:
    if sys.stdout:
        with suppress(OSError, ValueError):
            sys.stdout.flush()


def _null() -> int:
    return os.open(os.devnull, os.O_RDWR)


def _divert(fd: int, target: int) -> None:
    os.dup2(target, fd)
    if sys.platform == "win32":
        from mcp.os.win32.utilities import rebind_std_handle_to_fd  # noqa: PLC0415  (exists to be used there only)

        with suppress(OSError):
            rebind_std_handle_to_fd(fd)
