"""Tokens of an identity provider: JWTs, believed for their signature and their claims."""

import time
from collections.abc import Callable

import jwt
from jwt import PyJWK

from memory_mcp.config import SECRET_ALGORITHMS, JwtSettings
from memory_mcp.errors import ConfigError
from memory_mcp.server.http.claims import identity_of
from memory_mcp.server.http.identity import Identity, TokenRefusedError
from memory_mcp.server.http.keys import FixedKey, Keys, PublishedKeys

_REFUSAL = "This token is not good: it has expired, is meant for another server, or was not signed by the identity provider."
_REQUIRED = ["exp", "iss", "aud", "sub"]


class SignedTokens:
    """JWTs of one issuer, for one audience, signed by one of the algorithms that are named.

    Args:
        audience: What a token has to be meant for.
    """

    def __init__(self, settings: JwtSettings, audience: str, keys: Keys) -> None:
        self._settings, self._audience, self._keys = settings, audience, keys

    def knows(self, token: str) -> bool:
        """See `Verifier`."""
        return token.count(".") == 2

    async def verify(self, token: str) -> Identity:
        """See `Verifier`."""
        settings = self._settings
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in settings.algorithms:
                raise TokenRefusedError(_REFUSAL)
            key_id = header.get("kid")
            for key in await self._keys.candidates(key_id if isinstance(key_id, str) else None):
                if claims := self._claims(token, key):
                    return identity_of(claims, settings)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise TokenRefusedError(_REFUSAL) from error
        raise TokenRefusedError(_REFUSAL)

    def _claims(self, token: str, key: PyJWK) -> dict[str, object] | None:
        """What it says, if this key signed it.

        Raises:
            PyJWTError: The key did, but what it says is not good.
        """
        settings = self._settings
        try:
            claims: dict[str, object] = jwt.decode(
                token,
                key.key,
                algorithms=settings.algorithms,
                audience=self._audience,
                issuer=settings.issuer,
                leeway=settings.leeway_seconds,
                options={"require": _REQUIRED},
            )
        except (jwt.InvalidSignatureError, jwt.InvalidKeyError, TypeError):
            return None
        ends = claims["exp"]
        if not isinstance(ends, int | float) or ends - time.time() > settings.max_age_seconds + settings.leeway_seconds:
            raise jwt.InvalidTokenError("good for too long")
        return claims


def signed_tokens(settings: JwtSettings, audience: str, monotonic: Callable[[], float]) -> SignedTokens:
    """What the configuration says of them.

    Raises:
        ConfigError: `key` is none.
    """
    given = settings.key.get_secret_value()
    if not given:
        return SignedTokens(settings, audience, PublishedKeys(settings.jwks_url, monotonic))
    return SignedTokens(settings, audience, FixedKey(_fixed(given, settings.algorithms[0])))


def _fixed(given: str, algorithm: str) -> PyJWK:
    known = jwt.get_algorithm_by_name(algorithm)
    try:
        prepared = known.prepare_key(given)
        return PyJWK(known.to_jwk(prepared, as_dict=True), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        kind = "a secret" if algorithm in SECRET_ALGORITHMS else f"a public key in PEM for {algorithm}"
        raise ConfigError(f"http.jwt.key is not {kind}.") from None
