"""The issuer's public keys: fetched when needed, kept within bounds, and used on while the issuer is away."""

import json
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import anyio
import httpx2
import jwt
from jwt import PyJWK

from memory_mcp.errors import TierUnavailableError

log = logging.getLogger(__name__)

_FRESH_SECONDS = 3_600.0
_GOOD_SECONDS = 86_400.0
"""Keys so old are used no more: whoever took a key back expects that to matter some day."""
_PAUSE_SECONDS = 30.0
"""Between two fetches, whatever tokens name: they may come from anybody."""
_TIMEOUT_SECONDS = 5.0
_MAX_BYTES = 262_144
_MAX_KEYS = 100


class Keys(Protocol):
    """Where a token's key is found."""

    async def candidates(self, key_id: str | None) -> Sequence[PyJWK]:
        """The keys that may have signed a token that names this one, or none.

        Raises:
            TierUnavailableError: No keys are to be had at the moment.
        """


class FixedKey:
    """The one key that stands in the configuration."""

    def __init__(self, key: PyJWK) -> None:
        self._key = key

    async def candidates(self, key_id: str | None) -> Sequence[PyJWK]:
        """See `Keys`; what a token names is of no interest."""
        return [self._key]


class PublishedKeys:
    """The keys that an issuer publishes at an address; a name of a key is only ever compared."""

    def __init__(self, url: str, monotonic: Callable[[], float]) -> None:
        self._url, self._monotonic = url, monotonic
        self._keys: list[PyJWK] = []
        self._fetched = self._tried = float("-inf")
        self._lock = anyio.Lock()

    async def candidates(self, key_id: str | None) -> Sequence[PyJWK]:
        """See `Keys`."""
        if self._wants(key_id):
            async with self._lock:
                if self._wants(key_id):
                    await self._fetch()
        if self._monotonic() - self._fetched > _GOOD_SECONDS:
            raise TierUnavailableError("keys", "The identity provider's keys cannot be fetched.")
        return [key for key in self._keys if key_id is None or key.key_id in (None, key_id)]

    def _wants(self, key_id: str | None) -> bool:
        now = self._monotonic()
        stale = now - self._fetched > _FRESH_SECONDS or (key_id is not None and all(key.key_id != key_id for key in self._keys))
        return stale and now - self._tried > _PAUSE_SECONDS

    async def _fetch(self) -> None:
        self._tried = self._monotonic()
        try:
            found = await published(self._url)
        except TierUnavailableError as error:
            log.warning("keys_not_fetched: %s", type(error.__cause__).__name__)
            return
        self._keys, self._fetched = found, self._monotonic()


async def published(url: str) -> list[PyJWK]:
    """The keys that are published at an address; some may bear no name.

    Raises:
        TierUnavailableError: There is no answer, or none that holds keys.
    """
    try:
        with anyio.fail_after(_TIMEOUT_SECONDS):
            return _parse(await _read(url))
    except (httpx2.HTTPError, TimeoutError) as error:
        raise TierUnavailableError("keys", "The identity provider does not answer.") from error
    except ValueError as error:
        raise TierUnavailableError("keys", "What the identity provider answers holds no keys.") from error


async def _read(url: str) -> bytes:
    body = b""
    async with (
        httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, follow_redirects=False) as client,
        client.stream("GET", url) as answer,
    ):
        if answer.status_code != 200:
            raise ValueError(f"status {answer.status_code}")
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > _MAX_BYTES:
                raise ValueError("too long")
    return body


def _parse(body: bytes) -> list[PyJWK]:
    """Public keys for signatures; what cannot be used is passed over."""
    listed = json.loads(body)
    entries = listed.get("keys") if isinstance(listed, dict) else None
    if not isinstance(entries, list):
        raise ValueError("no keys")
    found: list[PyJWK] = []
    for entry in entries[:_MAX_KEYS]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or entry.get("kty") == "oct":
            continue
        try:
            found.append(PyJWK(entry))
        except (jwt.PyJWTError, ValueError, TypeError):
            log.info("key_passed_over")
    if not found:
        raise ValueError("no key of a kind that is known")
    return found
