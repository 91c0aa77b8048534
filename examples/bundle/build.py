"""`make bundle`: a bundle that Claude Desktop installs with a double click, and `server.json` for the MCP registry.

Both are filled in here with what the project says elsewhere: version, description, tools.
"""

import argparse
import json
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import jsonschema

from memory_mcp import __version__
from memory_mcp.server.tools import core_tools

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE")
MOMENT = (1980, 1, 1, 0, 0, 0)
"""The date of every file in a bundle, the earliest that there is: the same sources make the same bundle."""


def project() -> dict[str, Any]:
    """What `pyproject.toml` says of the project."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    if found["version"] != __version__:
        raise SystemExit(f"pyproject.toml says version {found['version']}, memory_mcp.__version__ {__version__}.")
    return found


def manifest() -> dict[str, Any]:
    """The bundle's manifest, checked against its schema."""
    facts, filled = project(), json.loads((HERE / "manifest.json").read_text("utf-8"))
    filled |= {"version": __version__, "description": facts["description"], "keywords": facts["keywords"]}
    filled["compatibility"]["runtimes"]["python"] = facts["requires-python"]
    filled["tools"] = [{"name": tool.name, "description": (tool.description or "").split("\n\n")[0]} for tool in core_tools()]
    jsonschema.validate(filled, json.loads((HERE / "manifest.schema.json").read_text("utf-8")))
    return filled


def server() -> dict[str, Any]:
    """The registry's entry. The registry looks for its name in the README of the package."""
    facts, filled = project(), json.loads((HERE / "server.json").read_text("utf-8"))
    filled |= {"version": __version__, "description": facts["description"]}
    for package in filled["packages"]:
        package |= {"identifier": facts["name"], "version": __version__}
    if f"mcp-name: {filled['name']}" not in (ROOT / "README.md").read_text("utf-8"):
        raise SystemExit(f"The README does not say `mcp-name: {filled['name']}`.")
    return filled


def build(folder: Path) -> list[Path]:
    """Write both into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    bundle, entry = folder / f"memory-mcp-{__version__}.mcpb", folder / "server.json"
    package = [path for path in sorted((ROOT / "memory_mcp").rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "manifest.json", _json(manifest()))
        for path in (*(ROOT / name for name in SOURCES), *package):
            _add(archive, path.relative_to(ROOT).as_posix(), path.read_bytes())
    entry.write_bytes(_json(server()))
    return [bundle, entry]


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, MOMENT)
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(info, data)


def _json(facts: dict[str, Any]) -> bytes:
    return (json.dumps(facts, ensure_ascii=False, indent=2) + "\n").encode()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="the folder (default: dist)")
    for path in build(parser.parse_args().to):
        print(path)
