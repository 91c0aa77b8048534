"""Folders that appear whole or not at all, whoever else makes the same one."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """One process at a time makes this folder; what a dead one left half made is removed first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(folder.name + ".lock")):
        for left_over in folder.parent.glob(f"{folder.name}.partial-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        yield


@contextmanager
def published(folder: Path) -> Iterator[Path]:
    """A folder to fill; it takes the place of `folder` at the end, or vanishes on an error."""
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
    try:
        yield partial
        for path in (*partial.rglob("*"), partial):
            _sync(path)  # a rename may outlive a power cut that the contents do not
        if folder.exists():
            folder.rename(partial.with_name(partial.name + "-old"))
        partial.rename(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(partial.with_name(partial.name + "-old"), ignore_errors=True)


def _sync(path: Path) -> None:
    with contextlib.suppress(OSError):  # a folder cannot be opened everywhere
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
