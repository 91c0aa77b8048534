"""The scale of the present model: the probes are embedded once an epoch, behind everything else."""

import anyio
import numpy as np
import structlog

from memory_mcp.contracts import Embedder
from memory_mcp.errors import EmbedderNotReadyError
from memory_mcp.models import Matrix
from memory_mcp.recall.calibration import MINILM_SCALES, ModelScale, Scales, model_scale
from memory_mcp.recall.foreign_probes import FOREIGN_PAIRS
from memory_mcp.recall.probes import PAIRS
from memory_mcp.text.languages import ENGLISH

log = structlog.get_logger(__name__)


class Scale:
    """What `calibration` needs to know of the embedder's model: of English always, of other languages once they were met."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._wake = anyio.Event()
        self._epoch: str | None = None
        self._probe: Matrix | None = None
        self._wanted = {ENGLISH}
        self._read: dict[str, ModelScale] = {}

    def wake(self) -> None:
        """The model may be another one; call it from the event loop."""
        self._wake.set()

    def want(self, language: str) -> None:
        """Have its probes embedded, soon; call it from the event loop."""
        if language in FOREIGN_PAIRS and language not in self._wanted:
            self._wanted.add(language)
            self.wake()

    def scales(self, language: str) -> Scales:
        """For questions in this language; until its probes are embedded, what holds for the default model."""
        self.want(language)
        return {**MINILM_SCALES, **self._read}

    def probe(self) -> Matrix | None:
        """The (d,) mean of the unrelated questions, None while it is not known for the present epoch."""
        return self._probe if self._epoch == self._embedder.state.epoch else None

    async def run(self) -> None:
        """Read the scales of each model that gets ready; work until cancelled."""
        while True:
            self._wake = anyio.Event()
            if self._embedder.state.epoch not in (None, self._epoch):
                self._read.clear()
            try:
                while missing := self._embedder.state.epoch is not None and self._wanted - self._read.keys():
                    await self._read_scale(ENGLISH if ENGLISH in missing else min(missing))
            except EmbedderNotReadyError as error:
                log.info("scale_not_read", error=type(error).__name__)
            await self._wake.wait()

    async def _read_scale(self, language: str) -> None:
        questions, answers = zip(*PAIRS if language == ENGLISH else FOREIGN_PAIRS[language], strict=True)
        vectors, epoch = await self._embedder.embed([*questions, *answers])
        asked, answering = vectors[: len(questions)], vectors[len(questions) :]
        if epoch != self._epoch:
            self._read.clear()
        if language == ENGLISH:
            self._probe, self._epoch = np.asarray(asked.mean(axis=0), np.float32), epoch
        if epoch == self._epoch:  # else the model has just changed, and English comes first
            self._read[language] = model_scale(asked, answering)
