"""The seams: what the use cases need of a backend, and no more. (Two more: `Graph` in `graph`, `Gate` with its tokens.)

Backends match these protocols by shape. Any method may raise `TierUnavailableError`, and may then be
repeated; whatever a method is asked twice has the same effect as once. Every method stays inside the
scopes it is given: they are a condition of the search, never a sieve for its results.
"""

from collections.abc import Callable
from datetime import datetime

from memory_mcp.contracts.embedding import Embedder, EmbedderState
from memory_mcp.contracts.recall import Candidates, Circumstances, Look, RecallCache, TextReader
from memory_mcp.contracts.records import QUESTIONS_KEPT, Experience, OperationLog, Origin, Outbox, RecordStore
from memory_mcp.contracts.search import CarriedIndex, Comparison, TextIndex, VectorIndex, VectorSource
from memory_mcp.contracts.shelves import Shelves

Clock = Callable[[], datetime]
"""Wall time, aware, UTC: a stamp, never an order (rule R18)."""

__all__ = [
    "QUESTIONS_KEPT",
    "Candidates",
    "CarriedIndex",
    "Circumstances",
    "Clock",
    "Comparison",
    "Embedder",
    "EmbedderState",
    "Experience",
    "Look",
    "OperationLog",
    "Origin",
    "Outbox",
    "RecallCache",
    "RecordStore",
    "Shelves",
    "TextIndex",
    "TextReader",
    "VectorIndex",
    "VectorSource",
]
