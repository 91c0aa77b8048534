"""Memories of which nothing is known but their words."""

import numpy as np

from memory_mcp.tiers.resident.asides import FACTS, Asides, Labels


def no_asides(n: int) -> Asides:
    """What stands beside the texts of n such memories."""
    labels = np.empty(n, np.object_)
    labels[:] = Labels()
    return Asides(np.zeros(n, FACTS), labels)
