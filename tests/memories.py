"""Openers of a real memory for tests: real store, real model, compiled once per checkout."""

import os
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import mcp
from mcp import Client, StdioServerParameters

from memory_mcp.assembly import open_memory
from memory_mcp.clock import utc_now
from memory_mcp.config import RecallSettings, Settings
from memory_mcp.contracts import Clock
from memory_mcp.embedding.loading import LoadingEmbedder
from memory_mcp.embedding.settings import EmbeddingSettings
from memory_mcp.models import Caller, Provenance
from memory_mcp.server.app import make_server
from memory_mcp.server.desk import Desk, Opening
from memory_mcp.service import MemoryService
from tests.models import compiled_model_dir

PATIENT = RecallSettings(embed_seconds=30, vector_seconds=30, text_seconds=30, records_seconds=30)
"""On a machine that is busy with something else an answer may come late, but not degraded."""

CALLER = Caller("local", "project", Provenance(client="pytest"))


def settings_for(data_dir: Path) -> Settings:
    """Settings with the compiled model."""
    return Settings(data_dir=data_dir, embedding=EmbeddingSettings(model=str(compiled_model_dir())), recall=PATIENT)


def settings_without_model(data_dir: Path) -> Settings:
    """Settings whose model cannot be loaded: this folder, which holds none, so that no child process is started to find out."""
    return Settings(data_dir=data_dir, embedding=EmbeddingSettings(model=str(Path(__file__).parent)), recall=PATIENT)


@asynccontextmanager
async def open_service(settings: Settings, *, ready: bool = True, clock: Clock = utc_now) -> AsyncIterator[MemoryService]:
    """The service itself, its model loaded."""
    async with open_memory(settings, clock=clock) as service:
        if ready:
            await until_ready(service)
        yield service


@asynccontextmanager
async def open_settled(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[MemoryService]:
    """The service, its model's scale read as well: what it does not know yet moves scores by a little, and ends what is known."""
    async with open_service(settings, clock=clock) as service:
        with anyio.fail_after(20):
            while service.scale.probe() is None:  # noqa: ASYNC110 - nothing tells
                await anyio.sleep(0.01)
        yield service


async def until_ready(service: MemoryService) -> None:
    """Wait for the model."""
    embedder = service.sources.embedder
    assert isinstance(embedder, LoadingEmbedder)
    await embedder.wait_ready(20)


@asynccontextmanager
async def open_client(
    settings: Settings, *, mode: str = "auto", namespace: str = "project", ready: bool = True, sets: Collection[str] = ()
) -> AsyncIterator[Client]:
    """A client of a server in this process."""
    opening = Opening(lambda: open_service(settings, ready=ready))
    async with Client(make_server(Desk(opening, "local", namespace), sets), mode=mode, raise_exceptions=True) as client:
        yield client


def stdio_server(data_dir: Path, *arguments: str, namespace: str = "project", **environment: str) -> StdioServerParameters:
    """How a host starts an isolated server: a process of its own, elsewhere, with hardly an environment."""
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "memory_mcp", "serve", "--isolated", "--data-dir", str(data_dir), "--namespace", namespace, *arguments],
        env={
            "MEMORY_MCP_EMBEDDING__MODEL": str(compiled_model_dir()),
            "MEMORY_MCP_RECALL": PATIENT.model_dump_json(),
            "HF_HUB_OFFLINE": "1",
            **code_path(),
            **environment,
        },
        cwd="/",
    )


def code_path() -> dict[str, str]:
    """Where this process was told to find code, so that what it starts finds the same."""
    return {name: value for name in ("PYTHONPATH",) if (value := os.environ.get(name))}


def text_of(result: mcp.types.CallToolResult) -> str:
    """The text block of a result."""
    (block,) = result.content
    assert isinstance(block, mcp.types.TextContent)
    return block.text
