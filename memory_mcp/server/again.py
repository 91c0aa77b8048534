"""An answer that is given again is shown as it was shown last, as long as that would read the same."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mcp.types import CallToolResult

from memory_mcp.answers import Answer
from memory_mcp.hygiene.echoes import echo_forms
from memory_mcp.server import render
from memory_mcp.server.cursors import Cursors


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer as a result; never changed, since others get the same.

    Attributes:
        forms: The memories that it shows, with the forms of the texts that it shows of them (`echoes.echo_forms`).
    """

    result: CallToolResult
    forms: list[tuple[UUID, str]]


def recalled(answer: Answer, now: datetime, *, max_tokens: int, explain: bool, cursors: Cursors | None = None) -> Shown:
    """As `render.recalled`. Of the clock a result shows nothing but ages."""
    how = (max_tokens, explain, cursors, *[render.age(hit.memory.when, now) for hit in answer.hits])
    last = answer.shown.get(how)
    if isinstance(last, Shown):
        return last
    result = render.recalled(answer, now, max_tokens=max_tokens, explain=explain, cursors=cursors)
    shown = Shown(result, echo_forms(render.told(result.structured_content)))
    answer.shown.clear()  # one is enough, and bounded
    answer.shown[how] = shown
    return shown
