"""An OpenAI-compatible endpoint: POST {base_url}/embeddings."""

import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np

from memory_mcp.embedding.encoder import unit_rows
from memory_mcp.embedding.settings import EmbeddingSettings
from memory_mcp.errors import EmbedderNotReadyError, TierError
from memory_mcp.models import Matrix

RUN_TEXTS, RUN_TOKENS = 64, 64_000
ATTEMPTS = 3
BACK_OFF_SECONDS = 0.25
LONGEST_BACK_OFF_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
SHORTEST_CUT = 1_000
"""Characters; a text that is refused even so is refused for something else than its length."""


class RemoteEncoder:
    """A model behind an endpoint. Its first call, made here, finds the dimension out.

    The epoch is `model@endpoint-<digest of the address>/dimension`: another address may serve other weights under the
    same name. An endpoint that changes its weights under one name and address cannot be noticed.

    Raises:
        EmbedderNotReadyError: The endpoint does not answer, or refuses.
        TierError: Its answer holds no vectors.
    """

    callers, run_texts, run_tokens = 1, RUN_TEXTS, RUN_TOKENS

    def __init__(self, settings: EmbeddingSettings) -> None:
        self._settings = settings
        self._url = settings.base_url.rstrip("/") + "/embeddings"
        self._host = urlsplit(settings.base_url).hostname or ""
        secret = settings.api_key.get_secret_value()
        self._client = httpx2.Client(
            timeout=settings.timeout_seconds, headers={"Authorization": f"Bearer {secret}"} if secret else {}, follow_redirects=False
        )
        try:
            self.dimension = settings.dimensions or len(self._rows(["dimension"])[0])
            self.encode(["dimension"])
        except BaseException:
            self._client.close()
            raise
        address = hashlib.blake2b(self._url.encode(), digest_size=6).hexdigest()
        self.epoch = f"{settings.model}@endpoint-{address}/{self.dimension}"

    def encode(self, texts: Sequence[str]) -> Matrix:
        """(n, d) unit rows."""
        runs = [texts[start : start + RUN_TEXTS] for start in range(0, len(texts), RUN_TEXTS)]
        rows = [row for run in runs for row in self._rows_cutting(run)]
        if any(len(row) != self.dimension for row in rows):
            raise TierError("embedder", f"The embedding endpoint gave a vector of another length than {self.dimension}.")
        return unit_rows(np.array(rows, dtype=np.float64).reshape(len(rows), self.dimension), len(texts), self.dimension)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _rows_cutting(self, texts: Sequence[str]) -> list[list[float]]:
        """A lone text that is refused is halved: endpoints differ in whether they cut, and where."""
        try:
            return self._rows(texts)
        except _TextsRefusedError:
            if len(texts) > 1 or len(texts[0]) < 2 * SHORTEST_CUT:
                raise
            return self._rows_cutting([texts[0][: len(texts[0]) // 2]])

    def _rows(self, texts: Sequence[str]) -> list[list[float]]:
        request: dict[str, Any] = {"model": self._settings.model, "input": list(texts)}
        if self._settings.dimensions is not None:
            request["dimensions"] = self._settings.dimensions
        try:
            body = json.dumps(request).encode()
            answer = json.loads(self._post(body))
            entries = sorted(answer["data"], key=lambda entry: int(entry["index"]))
            if [entry["index"] for entry in entries] != list(range(len(texts))):
                raise TierError("embedder", f"The embedding endpoint did not give one vector for each of {len(texts)} texts.")
            return [[float(number) for number in entry["embedding"]] for entry in entries]
        except (ValueError, TypeError, KeyError) as error:
            raise TierError("embedder", f"The answer of the embedding endpoint {self._host} is not one of embeddings.") from error

    def _post(self, body: bytes) -> bytes:
        """The body of a good answer, after a few attempts if what went wrong may pass."""
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            delay = BACK_OFF_SECONDS * 4**attempt
            try:
                status, headers, answer = self._exchange(body)
            except (httpx2.TransportError, _TooSlowError) as error:
                if last or isinstance(error, (httpx2.TimeoutException, _TooSlowError)):
                    raise EmbedderNotReadyError(f"The embedding endpoint {self._host} does not answer.") from error
                time.sleep(delay)
                continue
            if status == 200:
                return answer
            if not (status == 429 or status >= 500):
                raise _refusal(self._host, status)
            if last:
                raise EmbedderNotReadyError(f"The embedding endpoint {self._host} cannot serve for now (HTTP {status}).")
            asked = headers.get("retry-after", "")
            time.sleep(min(float(asked) if asked.isdecimal() else delay, LONGEST_BACK_OFF_SECONDS))
        raise AssertionError("the last attempt returns or raises")

    def _exchange(self, body: bytes) -> tuple[int, httpx2.Headers, bytes]:
        """One request; a server that only trickles is cut off as well as one that is silent."""
        deadline = time.monotonic() + self._settings.timeout_seconds
        with self._client.stream("POST", self._url, content=body, headers={"Content-Type": "application/json"}) as response:
            answer = bytearray()
            for chunk in response.iter_bytes():
                answer += chunk
                if time.monotonic() > deadline:
                    raise _TooSlowError
                if len(answer) > MAX_ANSWER_BYTES:
                    raise TierError("embedder", f"The answer of the embedding endpoint {self._host} is too long.")
            return response.status_code, response.headers, bytes(answer)


class _TooSlowError(Exception):
    """The answer came, but would not end."""


class _TextsRefusedError(TierError):
    """The endpoint will not take these texts; others it may."""


def _refusal(host: str, status: int) -> TierError:
    match status:
        case 401 | 403:
            return EmbedderNotReadyError(f"The embedding endpoint {host} refused the key (HTTP {status}): check api_key.")
        case 404 | 405:
            return EmbedderNotReadyError(f"The embedding endpoint {host} has no such model or path: check base_url and model.")
        case 400 | 413 | 422:
            return _TextsRefusedError("embedder", f"The embedding endpoint {host} refused the request (HTTP {status}).")
    return EmbedderNotReadyError(f"The embedding endpoint {host} gave an unexpected answer (HTTP {status}).")
