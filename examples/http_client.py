"""A program that remembers and recalls over HTTP: MEMORY_TOKEN=... python examples/http_client.py [URL]."""

import asyncio
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main(url: str, token: str) -> None:
    """Store a statement, ask for it, and print what came back."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        receipt = await client.call_tool("remember", {"content": "Invoices are due after 30 days.", "key": "invoices.due"})
        answer = await client.call_tool("recall", {"query": "When do invoices have to be paid?"})
    stored, found = receipt.structured_content or {}, answer.structured_content or {}
    print(f"{stored['status']} in {stored['namespace']}")
    print(f"{found['verdict']}: {found['hits'][0]['text']}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8765/mcp", os.environ["MEMORY_TOKEN"]))
