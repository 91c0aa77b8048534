"""Telling a client why there is no server: people look at their client, seldom at the stderr behind it."""

import os
import queue
import sys
import threading

from mcp.shared.message import SessionMessage
from mcp.types import INTERNAL_ERROR, JSONRPCRequest

from memory_mcp.front.lines import LineBuffer
from memory_mcp.front.messages import MISCONFIGURED
from memory_mcp.server.wire import encode, error, parse_line

_PATIENCE_SECONDS = 1.0
_MAX_LINE_BYTES = 65_536


def refuse_client(sentence: str) -> None:
    """Answer what a client asks in its handshake with the sentence, as an error; returns at the end of its patience or ours.

    A client of the modern protocol sends `server/discover`, and on an error `initialize` as well.
    """
    if sys.stdin is None or sys.stdin.isatty():
        return
    chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=[chunks], name="stdin", daemon=True).start()
    lines = LineBuffer(_MAX_LINE_BYTES)
    while True:
        try:
            chunk = chunks.get(timeout=_PATIENCE_SECONDS)
        except queue.Empty:
            return
        for line in lines.feed(chunk):
            parsed = parse_line(line)
            if not isinstance(parsed, SessionMessage) or not isinstance(parsed.message, JSONRPCRequest):
                continue
            if answer := encode(error(parsed.message.id, INTERNAL_ERROR, sentence, MISCONFIGURED)):
                os.write(1, answer)
            if parsed.message.method == "initialize":
                return
        if not chunk:
            return


def _read(chunks: "queue.SimpleQueue[bytes]") -> None:
    try:
        while chunk := os.read(0, _MAX_LINE_BYTES):  # unbuffered: no lock that the interpreter's end would wait for
            chunks.put(chunk)
    except OSError:
        pass
    chunks.put(b"")
