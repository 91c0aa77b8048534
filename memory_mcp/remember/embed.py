"""Texts to vectors, a long one by its passages."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from memory_mcp.contracts import Embedder
from memory_mcp.models import Embedding
from memory_mcp.passages import passages


async def embed_texts(embedder: Embedder, texts: Sequence[str], *, urgent: bool = False) -> list[Embedding]:
    """The embedding of each of n >= 1 texts.

    Raises:
        EmbedderNotReadyError: The model is loading or broken, or cannot take one of the texts.
    """
    parts = [[text[start:end] for start, end in passages(text)] for text in texts]
    vectors, epoch = await embedder.embed([part for of_one in parts for part in of_one], urgent=urgent)
    ends = list(accumulate(map(len, parts)))
    return [Embedding(rows, epoch) for rows in np.split(vectors, ends[:-1])]
