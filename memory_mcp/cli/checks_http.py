"""What `doctor` looks at where memories are served over HTTP."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import anyio
import httpx2

from memory_mcp.cli.verdicts import Check
from memory_mcp.config import HttpSettings
from memory_mcp.errors import ConfigError, TierUnavailableError
from memory_mcp.server.http.binding import certificate_end, check_certificate, is_local, listen, refuse_strangers
from memory_mcp.server.http.guard import names
from memory_mcp.server.http.keys import published
from memory_mcp.tokens import Token

_SOON = timedelta(days=14)
_PATIENCE_SECONDS = 2.0


async def examine(settings: HttpSettings, tokens: Sequence[Token], now: datetime) -> list[Check]:
    """Who can connect, who is let in, and whether anybody serves."""
    checks = [_address(settings, tokens, now), *_certificate(settings, now), _tokens(settings, tokens, now)]
    if settings.jwt.jwks_url:
        checks.append(await _keys(settings.jwt.jwks_url))
    return [*checks, await anyio.to_thread.run_sync(partial(_server, settings))]


def _address(settings: HttpSettings, tokens: Sequence[Token], now: datetime) -> Check:
    place = settings.unix_socket or f"{settings.host} port {settings.port}"
    somebody = bool(settings.jwt.issuer) or any(token.is_live(now) for token in tokens)
    try:
        refuse_strangers(settings, somebody=somebody)
    except ConfigError as error:
        return Check("http address", "wrong", f"{place}: the server would not start", str(error))
    if is_local(settings):
        return Check("http address", "ok", f"{place}, for this machine alone")
    if not settings.tls_certificate and not settings.public_url.startswith("https://"):
        remedy = "Set tls_certificate and tls_key in [http], or name in public_url the https:// of a proxy before it."
        return Check("http address", "note", f"{place}: tokens and memories cross the network unencrypted", remedy)
    return Check("http address", "ok", f"{place}, for other machines, encrypted")


def _certificate(settings: HttpSettings, now: datetime) -> list[Check]:
    if not settings.tls_certificate:
        return []
    renew = "Put a new certificate in its place, and start the server again."
    try:
        check_certificate(settings)
        end = certificate_end(settings.tls_certificate)
    except ConfigError as error:
        return [Check("http certificate", "wrong", str(error), "Both files have to be in PEM, belong together, and be readable for you.")]
    if end <= now:
        return [Check("http certificate", "wrong", f"it expired on {end:%Y-%m-%d}: clients refuse it", renew)]
    if end - now < _SOON:
        return [Check("http certificate", "note", f"good until {end:%Y-%m-%d}", renew)]
    return [Check("http certificate", "ok", f"good until {end:%Y-%m-%d}")]


def _tokens(settings: HttpSettings, tokens: Sequence[Token], now: datetime) -> Check:
    live = [token for token in tokens if token.is_live(now)]
    if not live:
        if settings.jwt.issuer:
            return Check("http tokens", "ok", f"none of its own; those of {settings.jwt.issuer} are accepted")
        return Check("http tokens", "note", "nobody has one that is good", "memory-mcp token create, or the next start shows a first one")
    ending = [token for token in live if token.expires is not None and token.expires - now < _SOON]
    if ending:
        named = ", ".join(f"{token.id} ({token.access.subject or token.tenant})" for token in ending[:5])
        rest = f" and {len(ending) - 5} more" if len(ending) > 5 else ""
        found = f"of {len(live)} these expire within 14 days: {named}{rest}"
        return Check("http tokens", "note", found, "Make others: memory-mcp token create")
    return Check("http tokens", "ok", f"good ones: {len(live)}")


async def _keys(url: str) -> Check:
    try:
        found = await published(url)
    except TierUnavailableError as error:
        return Check("http keys", "wrong", str(error), "Check jwks_url in [http.jwt], and that this machine may connect there.")
    return Check("http keys", "ok", f"the identity provider publishes {len(found)}")


def _server(settings: HttpSettings) -> Check:
    """Whether one of ours serves there, or could."""
    if settings.port == 0 and not settings.unix_socket:
        return Check("http server", "ok", "each start takes a free port, and tells it")
    known = sorted(names("" if settings.unix_socket else settings.host, settings.public_url, settings.allowed_hosts, ()).hosts)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    shown = f"[{host}]" if ":" in host else host
    transport = httpx2.HTTPTransport(uds=settings.unix_socket or None, verify=False)
    try:
        with httpx2.Client(transport=transport, timeout=_PATIENCE_SECONDS) as client:
            scheme = "https" if settings.tls_certificate else "http"
            answer = client.get(f"{scheme}://{shown}:{settings.port}/health", headers={"host": known[0] if known else shown})
        facts = answer.json()
        if answer.status_code == 200 and isinstance(facts, dict) and facts.get("status") == "alive":
            return Check("http server", "ok", f"one of version {facts.get('version')} serves there")
    except httpx2.ConnectError:
        return _free(settings)
    except (httpx2.HTTPError, ValueError):
        pass
    return Check("http server", "wrong", "something else listens there", "Choose another port in [http], or end what listens.")


def _free(settings: HttpSettings) -> Check:
    if settings.unix_socket:
        return Check("http server", "ok", "none serves there at the moment")
    try:
        listen(settings).close()
    except ConfigError as error:
        return Check("http server", "wrong", str(error), "Name an address of this machine and a free port in [http].")
    return Check("http server", "ok", "none serves there at the moment; the port is free")
