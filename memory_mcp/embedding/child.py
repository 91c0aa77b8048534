"""The process that compiles: torch costs 500 MB and seconds that the server is to be spared.

    python -m memory_mcp.embedding.child NAME SOURCE FOLDER

It ends when its standard input is closed, so it never outlives the server.
"""

import logging
import os
import sys
import threading
import warnings
from pathlib import Path

from memory_mcp.embedding.folders import exclusive
from memory_mcp.embedding.local import is_current


def _end_with_parent() -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock, held here, would abort the interpreter's own end
        pass
    os._exit(1)


def _main(name: str, source: str, folder: str) -> None:
    warnings.simplefilter("ignore")  # the exporters' own deprecations are nothing that a user can mend
    logging.disable(logging.WARNING)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with exclusive(Path(folder)):
        if is_current(Path(folder), Path(source) if source else None):  # another process has just made it
            return
        from memory_mcp.embedding.compile import bring_in  # noqa: PLC0415 - 6 s in which the parent may end

        bring_in(name, source, Path(folder))


if __name__ == "__main__":
    _main(*sys.argv[1:])
