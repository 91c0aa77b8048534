"""A program that remembers and recalls over HTTP: MEMORY_TOKEN=... python examples/http_client.py [URL]."""

import asyncio
import os
import sys

from memory_mcp import MemoryClient


async def main(url: str, token: str) -> None:
    """Store a statement, ask for it, and print what came back."""
    async with MemoryClient.http(url, token) as memory:
        receipt = await memory.remember("Invoices are due after 30 days.", key="invoices.due")
        answer = await memory.recall("When do invoices have to be paid?")
    print(f"{receipt.status} in {receipt.namespace}")
    print(f"{answer.verdict}: {answer.hits[0].text}")


if __name__ == "__main__":
    if not (given := os.environ.get("MEMORY_TOKEN")):
        sys.exit("Set MEMORY_TOKEN to a token: memory-mcp token create --subject NAME makes one.")
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8765/mcp", given))
