"""What is said over HTTP itself, before and beside the protocol: an error's name, and a sentence."""

import math

from starlette.responses import JSONResponse


def answer(status: int, error: str, sentence: str, *, retry_seconds: float = 0.0, challenge: str = "") -> JSONResponse:
    """A refusal; no cache keeps it.

    Args:
        error: A name for programs.
        sentence: What is wrong and what to do; never what was sent.
        retry_seconds: After how long to try again; 0: nothing is said.
        challenge: How to be let in, for the header `WWW-Authenticate`.
    """
    headers = {"cache-control": "no-store"}
    if retry_seconds:
        headers["retry-after"] = str(math.ceil(retry_seconds))
    if challenge:
        headers["www-authenticate"] = challenge
    return JSONResponse({"error": error, "error_description": sentence}, status, headers)
