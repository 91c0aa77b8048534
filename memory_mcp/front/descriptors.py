"""The three standard descriptors, which a program may find closed."""

import os


def fill_holes() -> None:
    """Put the null device where a standard descriptor is closed, lest something opened later land there."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
