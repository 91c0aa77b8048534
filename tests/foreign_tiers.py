"""The example of a tier of one's own, installed as pip would, for as long as a test runs."""

import importlib
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "tier-example"
NAME = "numpy-files"


@contextmanager
def installed(more: str = "") -> Iterator[Path]:
    """A folder on the path that holds the example's module and what its `pyproject.toml` says of it.

    Args:
        more: The source of another module, `another_tier`, whose `open_tier` is a tier of that name.
    """
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    entries = dict(project["entry-points"]["memory_mcp.tiers"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for module in EXAMPLE.glob("*.py"):
            shutil.copy(module, folder)
        if more:
            (folder / "another_tier.py").write_text(more, "utf-8")
            entries["another-tier"] = "another_tier:open_tier"
        about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8")
        lines = [f"{entry} = {place}" for entry, place in entries.items()]
        (about / "entry_points.txt").write_text("\n".join(["[memory_mcp.tiers]", *lines, ""]), "utf-8")
        sys.path.insert(0, name)
        importlib.invalidate_caches()
        try:
            yield folder
        finally:
            sys.path.remove(name)
            for module in ("numpy_files", "another_tier"):
                sys.modules.pop(module, None)
            importlib.invalidate_caches()
