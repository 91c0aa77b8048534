"""What goes wrong, said on stderr in one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


def leave(sentence: str, status: int) -> NoReturn:
    """End the command with a sentence."""
    remark(sentence)
    sys.exit(status)
