"""What is published beside the package: a bundle, and an entry for the registry."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

from memory_mcp import __version__

ROOT = Path(__file__).parents[2]
VALIDATOR = "@anthropic-ai/mcpb@2.1.2"


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_bundle", ROOT / "examples" / "bundle" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    builder.build(folder)
    return folder


def test_the_bundle_holds_everything_that_runs_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(built / f"memory-mcp-{__version__}.mcpb") as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))

    tracked = subprocess.run(["git", "ls-files", "memory_mcp"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert names >= {"manifest.json", "pyproject.toml", "README.md", "LICENSE", *(name for name in tracked if (ROOT / name).exists())}
    assert all(name.startswith("memory_mcp/") for name in names - {"manifest.json", "pyproject.toml", "README.md", "LICENSE"})
    assert not [name for name in names if "__pycache__" in name]
    assert manifest["server"]["entry_point"] in names
    assert manifest["version"] == __version__
    assert [tool["name"] for tool in manifest["tools"]] == [
        *("remember", "recall", "find_similar", "context"),
        *("get", "update", "forget", "stats"),
    ]
    placeholders = set(re.findall(r"\$\{user_config\.(\w+)\}", json.dumps(manifest["server"])))
    assert placeholders == set(manifest["user_config"])


def test_the_same_sources_make_the_same_bundle(builder: ModuleType, built: Path, tmp_path: Path) -> None:
    for path in builder.build(tmp_path):
        assert path.read_bytes() == (built / path.name).read_bytes()


@pytest.mark.parametrize(
    "fault",
    [{"version": ""}, {"tools": []}, {"manifest_version": "0.3"}, {"unknown": 1}, {"server": {"type": "uv"}}, {"name": "a b"}],
    ids=lambda fault: next(iter(fault)),
)
def test_a_manifest_with_a_fault_is_noticed(builder: ModuleType, fault: dict[str, object]) -> None:
    schema = json.loads((ROOT / "examples" / "bundle" / "manifest.schema.json").read_text())
    jsonschema.validate(builder.manifest(), schema)

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**builder.manifest(), **fault}, schema)


def test_the_bundles_own_tool_accepts_it(built: Path, tmp_path: Path) -> None:
    if shutil.which("npx") is None:
        pytest.skip("npx is not installed")
    with zipfile.ZipFile(built / f"memory-mcp-{__version__}.mcpb") as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(
        ["npx", "--yes", VALIDATOR, "validate", "manifest.json"],
        cwd=tmp_path,
        env={**os.environ, "npm_config_fetch_retries": "0", "npm_config_cache": str(ROOT / ".make" / "npm")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if re.search(r"npm (ERR!|error).*(network|ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|registry|E4\d\d|E5\d\d)", done.stderr):
        pytest.skip(f"npx cannot fetch {VALIDATOR}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "validation passes" in done.stdout


def test_the_registrys_entry_says_what_the_registry_asks_for(built: Path) -> None:
    """Source: the registry's server.schema.json of 2025-12-11, and its check of who owns a package of PyPI."""
    entry = json.loads((built / "server.json").read_text("utf-8"))
    (package,) = entry["packages"]

    assert entry["$schema"] == "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert 1 <= len(entry["description"]) <= 100
    assert entry["version"] == package["version"] == __version__
    assert {**package, "environmentVariables": []} == {
        "registryType": "pypi",
        "identifier": "memory-mcp",
        "version": __version__,
        "runtimeHint": "uvx",
        "transport": {"type": "stdio"},
        "environmentVariables": [],
    }
    for variable in package["environmentVariables"]:
        assert set(variable) <= {"name", "description", "format", "isRequired"}
        assert variable["name"].startswith("MEMORY_MCP_")
    assert f"<!-- mcp-name: {entry['name']} -->" in (ROOT / "README.md").read_text("utf-8")


def test_the_rules_in_the_package_are_those_among_the_examples() -> None:
    assert (ROOT / "memory_mcp/cli/install/rules.md").read_bytes() == (ROOT / "examples/clients/AGENTS.md").read_bytes()


def test_the_output_is_no_part_of_the_project() -> None:
    ignored = subprocess.run(["git", "check-ignore", "dist/server.json"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ignored.returncode == 0
