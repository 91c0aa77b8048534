"""What goes wrong, said on stderr in one line."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from memory_mcp.cli.printed import remark
from memory_mcp.errors import ConfigError, MemoryMcpError


@contextmanager
def in_one_line() -> Iterator[None]:
    """End the command with a sentence: status 2 for a bad configuration, else 1."""
    try:
        yield
    except ConfigError as error:
        leave(str(error), 2)
    except MemoryMcpError as error:
        leave(str(error), 1)
    except OSError as error:
        leave(f"{error.filename or 'the file'}: {error.strerror}.", 1)
    except KeyboardInterrupt:
        leave("Interrupted.", 130)


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Likewise, and end the process with what is done here, waiting for no thread (rule R13).

    One that is still loading the model, in native code, would have the interpreter's own end abort it.
    """
    status = 0
    try:
        with in_one_line():
            yield
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    with suppress(OSError):  # nobody may listen there
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def leave(sentence: str, status: int) -> NoReturn:
    """End the command with a sentence."""
    remark(sentence)
    sys.exit(status)
