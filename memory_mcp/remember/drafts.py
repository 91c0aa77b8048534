"""From what a caller gave to a draft: complete, checked, fingerprinted. Pure but for the id's random bits."""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from memory_mcp.clock import to_micros
from memory_mcp.errors import RequestError
from memory_mcp.models import DOMAINS, EPISODIC_KINDS, KINDS, RETENTIONS, Caller, Draft, Scope
from memory_mcp.remember import door
from memory_mcp.text import words

SHORT_TERM = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class RememberRequest:
    """The arguments of `remember`, as given; an empty text means absent.

    Attributes:
        identity: What makes another text the same memory, in place of the text itself.
    """

    content: str
    kind: str = "fact"
    tags: Sequence[str] = ()
    key: str = ""
    supersedes: Sequence[str] = ()
    importance: float = 0.5
    session_id: str = ""
    occurred_at: str = ""
    expires_in: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    retention: str = "long_term"
    domain: str = ""
    idempotency_key: str = ""
    identity: str = ""


def draft(request: RememberRequest, scope: Scope, caller: Caller, now: datetime) -> Draft:
    """Check everything and complete what was left open.

    Raises:
        RequestError: Some value is not allowed; the message names it.
    """
    content = door.content(request.content)
    if request.kind not in KINDS:
        raise RequestError(f"kind {request.kind[:40]!r} is unknown. Use one of: {', '.join(KINDS)}.")
    if request.domain not in ("", *DOMAINS):
        raise RequestError(f"domain must be one of: {', '.join(DOMAINS)}; left out, it is guessed.")
    if request.retention not in RETENTIONS:
        raise RequestError(f"retention must be one of: {', '.join(RETENTIONS)}.")
    session_id = door.name(request.session_id, "session_id")
    occurred_at = door.moment(request.occurred_at, "occurred_at")
    expires_at = door.lifetime(request.expires_in, "expires_in", now)
    if expires_at is None and request.retention == "short_term":
        expires_at = now + SHORT_TERM
    return Draft(
        id=uuid7(now),
        scope=scope,
        content=content,
        fingerprint=fingerprint(request.identity or content, request.kind, session_id, occurred_at),
        now=now,
        kind=request.kind,
        domain=request.domain or guess_domain(content),
        tags=door.tags(request.tags),
        metadata=door.metadata(request.metadata),
        key=door.name(request.key, "key"),
        session_id=session_id,
        importance=door.fraction(request.importance, "importance"),
        retention=request.retention,
        occurred_at=occurred_at,
        expires_at=expires_at,
        supersedes=tuple(door.memory_ids(request.supersedes)) if request.supersedes else (),
        provenance=caller.provenance,
        idempotency_key=door.name(request.idempotency_key, "idempotency_key"),
        request_digest=_digest(request, scope) if request.idempotency_key else b"",
    )


def fingerprint(content: str, kind: str, session_id: str, occurred_at: datetime | None) -> bytes:
    """12 bytes, equal for what is the same memory: the same text, and for a chat or event the same occasion."""
    occasion = [session_id, occurred_at.isoformat() if occurred_at else ""] if kind in EPISODIC_KINDS else []
    return hashlib.blake2b("\0".join([words.same_text(content), *occasion]).encode(), digest_size=12).digest()


def _digest(request: RememberRequest, scope: Scope) -> bytes:
    given = json.dumps([asdict(request), scope.tenant, scope.namespace], sort_keys=True, default=list)
    return hashlib.blake2b(given.encode(), digest_size=16).digest()


def uuid7(now: datetime) -> UUID:
    """A new id that sorts by its time to a quarter of a microsecond (RFC 9562, sections 5.7 and 6.2, method 3)."""
    milliseconds, microseconds = divmod(to_micros(now), 1000)
    fraction = microseconds * 4096 // 1000
    random = int.from_bytes(os.urandom(8)) & (2**62 - 1)
    return UUID(int=(milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random)


_CODE = re.compile(
    r"```|\b(?:def \w+\(|class \w+[:({]|import \w+[.;\n]|function \w*\(|SELECT .+ FROM)\b"
    r"|\b(?:stderr|stdout|git|npm|pip|docker|API|SQL|JSON|HTTP|regex)\b"
    r"|\w\(\)|\b[a-z]+_[a-z_]+\b|\b[a-z]+[A-Z]\w|[\w/]\.(?:py|js|ts|rs|go|java|c|cpp|sh|sql|toml|yaml|yml|json|md)\b|[{};]\s*$",
    re.MULTILINE,
)
_BUSINESS = re.compile(
    r"\b(?:customer|client|invoice|contract|revenue|budget|sales|marketing|stakeholder|deadline|quarter|pricing|vendor|compliance|KPI|ROI)s?\b",
    re.IGNORECASE,
)


def guess_domain(content: str) -> str:
    """coding, business or general, by the marks that such texts bear."""
    start = content[:4_000]
    if _CODE.search(start):
        return "coding"
    return "business" if _BUSINESS.search(start) else "general"
