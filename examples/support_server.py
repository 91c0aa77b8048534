"""A help desk as an MCP server, with memory-mcp as its memory: what solved a problem once is at hand when it comes back.

On one machine it starts memory-mcp by itself; MEMORY_URL and MEMORY_TOKEN name a shared one instead:

    python examples/support_server.py
    MEMORY_URL=https://memory.example.com/mcp MEMORY_TOKEN=mmcp_... python examples/support_server.py
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field

from memory_mcp import MemoryClient
from memory_mcp.errors import MemoryMcpError

NAMESPACE = "help-desk"
Call = Context[MemoryClient, Any]


class Case(BaseModel):
    """A ticket, or what solved one."""

    id: str
    text: str
    customer: str


class Ticket(BaseModel):
    """A new ticket, and what may help with it."""

    id: str
    seen_before: list[Case]


@asynccontextmanager
async def memory(_: MCPServer[MemoryClient]) -> AsyncIterator[MemoryClient]:
    """One memory for as long as the server runs; every call uses it."""
    url, token = os.environ.get("MEMORY_URL", ""), os.environ.get("MEMORY_TOKEN", "")
    client = MemoryClient.http(url, token, namespace=NAMESPACE) if url else MemoryClient.stdio(namespace=NAMESPACE)
    async with client:
        yield client


server = MCPServer("help-desk", version="1", instructions="Open a ticket for each problem that a customer reports.", lifespan=memory)


@server.tool()
async def open_ticket(
    customer: Annotated[str, Field(description="Who reports it")],
    problem: Annotated[str, Field(description="What is wrong, in the customer's words")],
    ctx: Call,
) -> Ticket:
    """Open a ticket for a problem. Returns its id, and how the like of it was solved before."""
    with told_to_the_model():
        cases = await known_cases(ctx, problem)
        receipt = await ctx.request_context.lifespan_context.store_event(problem, tags=["ticket", "open"], metadata={"customer": customer})
    return Ticket(id=str(receipt.id), seen_before=cases)


@server.tool()
async def solve_ticket(
    ticket: Annotated[str, Field(description="The ticket's id")],
    solution: Annotated[str, Field(description="What helped: one self-contained statement")],
    ctx: Call,
) -> str:
    """Close a ticket and keep what solved it for the next time."""
    desk = ctx.request_context.lifespan_context
    with told_to_the_model():
        (opened,) = await desk.get(ticket)
        await desk.store_insight(f"{opened.text}\nSolved by: {solution}", tags=["solution"], metadata=opened.metadata)
        await desk.update(ticket, tags=["ticket", "solved"])
    return f"Closed. {await still_open(desk)} more to do."


@server.tool()
async def ask_desk(question: Annotated[str, Field(description="A problem, in plain words")], ctx: Call) -> list[Case]:
    """How problems like this one were solved before."""
    with told_to_the_model():
        return await known_cases(ctx, question)


async def known_cases(ctx: Call, problem: str) -> list[Case]:
    """What solved the like of it; nothing where memory holds nothing relevant."""
    answer = await ctx.request_context.lifespan_context.recall(problem, tags=["solution"], limit=3)
    return [Case(id=str(hit.id), text=hit.text, customer=str(hit.metadata.get("customer", ""))) for hit in answer.hits]


async def still_open(desk: MemoryClient) -> int:
    """Tickets that nobody has solved."""
    return len([ticket async for ticket in desk.iterate(tags=["ticket", "open"])])


@contextmanager
def told_to_the_model() -> Iterator[None]:
    """What memory-mcp says of a call that failed is written for the model that made it."""
    try:
        yield
    except MemoryMcpError as error:
        raise ToolError(str(error)) from error


if __name__ == "__main__":
    server.run()
