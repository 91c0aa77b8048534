"""What is said over HTTP itself, before and beside the protocols: a name for programs, and a sentence for people."""

import math
from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from memory_mcp.errors import AccessDeniedError, ConflictError, LimitError, MemoryNotFoundError, UnexpectedError
from memory_mcp.faults import Fault
from memory_mcp.front.messages import INVALID

API = "/api/v1"
_STATUS = {
    INVALID: 422,
    ConflictError.code: 409,
    MemoryNotFoundError.code: 404,
    AccessDeniedError.code: 403,
    LimitError.code: 429,
    UnexpectedError.code: 500,
}
"""By code; everything else is the state of the store, which nobody's request has brought about: 503."""


def answer(status: int, error: str, sentence: str, *, retry_seconds: float = 0.0, challenge: str = "") -> "Refusal":
    """A refusal; no cache keeps it.

    Args:
        error: A name for programs.
        sentence: What is wrong and what to do; never what was sent.
        retry_seconds: After how long to try again; 0: nothing is said.
        challenge: How to be let in, for the header `WWW-Authenticate`.
    """
    return Refusal(status, Fault(error, sentence, retry_seconds > 0, retry_seconds), challenge)


def problem(fault: Fault, status: int = 0) -> "Refusal":
    """The refusal that a fault is; 0: with the status that follows from its code."""
    return Refusal(status or _STATUS.get(fault.code, 503), fault)


class Refusal(JSONResponse):
    """Says the same to everybody, to callers of the JSON API as RFC 9457 has it."""

    def __init__(self, status: int, fault: Fault, challenge: str = "") -> None:
        self._fault = fault
        headers = {"cache-control": "no-store"}
        if fault.retry_seconds:
            headers["retry-after"] = str(math.ceil(fault.retry_seconds))
        if challenge:
            headers["www-authenticate"] = challenge
        super().__init__({"error": fault.code, "error_description": fault.sentence}, status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say it in the words of the room that was asked."""
        if scope["path"].startswith(f"{API}/"):
            self.body = self.render(self._problem())
            self.headers["content-length"] = str(len(self.body))
            self.headers["content-type"] = "application/problem+json"
        await super().__call__(scope, receive, send)

    def _problem(self) -> dict[str, object]:
        said = {"title": HTTPStatus(self.status_code).phrase, "status": self.status_code, "detail": self._fault.sentence}
        return {"type": "about:blank", **said, "code": self._fault.code, "retryable": self._fault.retryable}
