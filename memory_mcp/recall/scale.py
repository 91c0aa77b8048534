"""The scale of the present model: the probes are embedded once an epoch, behind everything else."""

import anyio
import numpy as np
import structlog

from memory_mcp.contracts import Embedder
from memory_mcp.errors import EmbedderNotReadyError
from memory_mcp.models import Matrix
from memory_mcp.recall.calibration import MINILM, ModelScale, model_scale
from memory_mcp.recall.probes import PAIRS

log = structlog.get_logger(__name__)


class Scale:
    """What `calibration` needs to know of the embedder's model.

    Attributes:
        model: Until the probes are embedded, that of the default model.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._wake = anyio.Event()
        self._epoch: str | None = None
        self._probe: Matrix | None = None
        self.model: ModelScale = MINILM

    def wake(self) -> None:
        """The model may be another one; call it from the event loop."""
        self._wake.set()

    def probe(self) -> Matrix | None:
        """The (d,) mean of the unrelated questions, None while it is not known for the present epoch."""
        return self._probe if self._epoch == self._embedder.state.epoch else None

    async def run(self) -> None:
        """Read the scale of each model that gets ready; work until cancelled."""
        while True:
            self._wake = anyio.Event()
            if self._embedder.state.epoch not in (None, self._epoch):
                try:
                    await self._read()
                except EmbedderNotReadyError as error:
                    log.info("scale_not_read", error=type(error).__name__)
            await self._wake.wait()

    async def _read(self) -> None:
        questions, answers = zip(*PAIRS, strict=True)
        vectors, epoch = await self._embedder.embed([*questions, *answers])
        asked = vectors[: len(PAIRS)]
        self.model = model_scale(asked, vectors[len(PAIRS) :])
        self._probe, self._epoch = np.asarray(asked.mean(axis=0), np.float32), epoch
