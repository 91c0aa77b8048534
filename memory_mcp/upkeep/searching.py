"""Looking through files for strings, byte for byte: the proof that something was erased. Standard library only.

It runs in a process of its own: reading the database's file by other means than SQLite would end the locks that a process
has on it (rule R2).
"""

import json
import mmap
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_SECONDS = 600.0


def search_files(folder: Path, strings: Sequence[str], leave_out: Sequence[str] = ()) -> tuple[int, dict[str, list[str]]]:
    """How many files of a folder were looked through, and which of the strings stand where.

    Args:
        leave_out: Names of files and folders that are passed over.

    Raises:
        OSError: It could not be carried out.
    """
    asked = json.dumps({"folder": str(folder), "strings": list(strings), "leave_out": list(leave_out)})
    try:
        done = subprocess.run(
            [sys.executable, "-I", __file__], input=asked, capture_output=True, text=True, timeout=_SECONDS, check=True, encoding="utf-8"
        )
    except subprocess.SubprocessError as error:
        raise OSError("the search ended without an answer") from error
    answer = json.loads(done.stdout)
    return int(answer["files"]), dict(answer["found"])


def _files(folder: Path, leave_out: Sequence[str]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in leave_out or path.is_symlink():
            continue
        if path.is_dir():
            yield from _files(path, leave_out)
        elif path.is_file():
            yield path


def _strings_in(path: Path, strings: Sequence[bytes]) -> list[int]:
    """The places in the list of those that stand in the file."""
    if not path.stat().st_size:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [number for number, string in enumerate(strings) if data.find(string) >= 0]


def main() -> None:
    """Answer the question on stdin."""
    asked = json.load(sys.stdin)
    strings = [string.encode("utf-8", "surrogatepass") for string in asked["strings"]]
    files = 0
    found: dict[str, list[str]] = {}
    for path in _files(Path(asked["folder"]), asked["leave_out"]):
        try:
            there = _strings_in(path, strings)
        except FileNotFoundError:  # gone meanwhile
            continue
        files += 1
        for number in there:
            found.setdefault(asked["strings"][number], []).append(str(path))
    json.dump({"files": files, "found": found}, sys.stdout)


if __name__ == "__main__":
    main()
