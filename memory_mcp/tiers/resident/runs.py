"""Which term stands in which row, as sorted arrays of 64-bit numbers.

A posting is one number: key of the term (32 bits), row (24), count (8). Sorted, the postings of a term lie
together in the order of rows; a search is two binary searches, and merging is sorting what is nearly sorted.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memory_mcp.errors import TierError
from memory_mcp.text.terms import TERM

Packed = NDArray[np.uint64]
"""(p,) postings, ascending."""

MOST_ROWS = 1 << 24
MERGE_RATIO = 8
"""Runs are merged once the former is less than so many times the latter: 2 million postings lie in at most eight
runs, and each posting is moved about as often while they grow."""


def pack(bags: Sequence[bytes], first_row: int) -> tuple[Packed, NDArray[np.float32]]:
    """The postings of n bags in rows from `first_row`, and (n,) the length of each, in halves of a word.

    Raises:
        TierError: Rows do not fit into 24 bits, or a bag is not one.
    """
    if first_row + len(bags) > MOST_ROWS:
        raise TierError("resident", f"A text index holds at most {MOST_ROWS:,} rows. Divide the namespace.")
    sizes = np.fromiter(map(len, bags), np.int64, len(bags))
    if (sizes % TERM.itemsize).any():
        raise TierError("resident", "A bag of terms is cut off. Make the bags of this namespace anew.")
    terms = np.frombuffer(b"".join(bags), TERM)
    rows = np.repeat(np.arange(len(bags)), sizes // TERM.itemsize)
    lengths = np.bincount(rows, terms["count"], minlength=len(bags)).astype(np.float32)
    postings = terms["key"].astype(np.uint64) << np.uint64(32)
    postings |= (rows + first_row).astype(np.uint64) << np.uint64(8)
    postings |= terms["count"]
    postings.sort()
    return postings, lengths


def joined(runs: Sequence[Packed], latest: Packed) -> tuple[Packed, ...]:
    """The runs with one more, merged where it has grown too large to stand beside the former."""
    kept = list(runs)
    while kept and len(kept[-1]) < MERGE_RATIO * len(latest):
        latest = merged([kept.pop(), latest])
    return (*kept, latest) if len(latest) else tuple(kept)


def merged(runs: Sequence[Packed]) -> Packed:
    """One run of several."""
    together = np.concatenate(runs) if runs else np.empty(0, np.uint64)
    together.sort(kind="stable")  # finds the runs and merges them: 5 ms for 2 million, where sorting takes 16
    return together


def renumbered(run: Packed, rows: NDArray[np.intp]) -> Packed:
    """The postings with each row r as `rows[r]`, without those that become -1; the order of rows must stay."""
    moved = rows[rows_of(run)]
    kept = moved >= 0
    others = np.uint64(0xFFFFFFFF_000000FF)
    return np.asarray((run[kept] & others) | (moved[kept].astype(np.uint64) << np.uint64(8)))


def find(runs: Sequence[Packed], keys: NDArray[np.uint32]) -> tuple[Packed, NDArray[np.int64]]:
    """The postings of q keys, key after key, and (q,) how many each has."""
    low = keys.astype(np.uint64) << np.uint64(32)
    high = low | np.uint64(0xFFFFFFFF)
    starts = np.array([np.searchsorted(run, low) for run in runs], np.int64).reshape(len(runs), len(keys))
    ends = np.array([np.searchsorted(run, high, "right") for run in runs], np.int64).reshape(len(runs), len(keys))
    bounds = list(zip(runs, starts.tolist(), ends.tolist(), strict=True))
    parts = [run[start[i] : end[i]] for i in range(len(keys)) for run, start, end in bounds if start[i] < end[i]]
    return np.concatenate(parts) if parts else np.empty(0, np.uint64), (ends - starts).sum(axis=0)


def counts_of(postings: Packed) -> NDArray[np.uint64]:
    """(p,) counts, in halves."""
    return postings & np.uint64(0xFF)


def rows_of(postings: Packed) -> NDArray[np.intp]:
    """(p,) rows."""
    return ((postings >> np.uint64(8)) & np.uint64(MOST_ROWS - 1)).astype(np.intp)
