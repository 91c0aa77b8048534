"""Memories of what is a kind of something that a question asks for."""

import numpy as np
from numpy.typing import NDArray

from memory_mcp.text.terms import Asked, keys_of_kinds
from memory_mcp.tiers.resident.bm25 import Matches, View, rarity


def kinds_told(view: View, matches: Matches, asked: Asked) -> NDArray[np.float64]:
    """(n,) what those of a question's words tell that stand in a row only by what is a kind of them, in nats.

    One tells what it is worth to know that a row speaks of anything of its kind, which is little where most do, and
    never more than the word itself would.

    Args:
        matches: Of the words asked for.
    """
    told = np.zeros(len(view.ids))
    for term, key, frequency in zip(asked.words, asked.keys, matches.frequencies.tolist(), strict=True):
        keys = keys_of_kinds(term)
        if not len(keys):
            continue
        rows = np.unique(view.look_up(keys).postings)
        rows = rows[view.alive[rows]]
        worth = rarity(np.array([len(rows), frequency]), view.live).min()
        told[np.setdiff1d(rows, matches.rows_with(key), assume_unique=True)] += worth
    return told
