"""Texts to vectors, a long one by its passages."""

from collections.abc import Sequence
from itertools import accumulate

import anyio.to_thread
import numpy as np

from memory_mcp.contracts import Embedder
from memory_mcp.models import Embedding
from memory_mcp.text.passages import passages

INLINE_CHARACTERS = 20_000
"""Texts of up to so many together are cut into passages on the event loop, in some milliseconds; more of them in a worker thread."""


async def embed_texts(embedder: Embedder, texts: Sequence[str], *, urgent: bool = False) -> list[Embedding]:
    """The embedding of each of n >= 1 texts.

    Raises:
        EmbedderNotReadyError: The model is loading or broken, or cannot take one of the texts.
    """
    short = sum(map(len, texts)) <= INLINE_CHARACTERS
    parts = _parts(texts) if short else await anyio.to_thread.run_sync(_parts, texts)
    vectors, epoch = await embedder.embed([part for of_one in parts for part in of_one], urgent=urgent)
    ends = list(accumulate(map(len, parts)))
    return [Embedding(rows, epoch) for rows in np.split(vectors, ends[:-1])]


def _parts(texts: Sequence[str]) -> list[list[str]]:
    return [[text[start:end] for start, end in passages(text)] for text in texts]
