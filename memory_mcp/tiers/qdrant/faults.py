"""Where the driver's errors end and ours begin."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import structlog
from qdrant_client.http.exceptions import UnexpectedResponse

from memory_mcp.errors import TierUnavailableError

log = structlog.get_logger(__name__)

TIER = "qdrant"


class CollectionGoneError(TierUnavailableError):
    """There is no collection of the name that was used; another may have taken its place."""

    def __init__(self) -> None:
        super().__init__(TIER, "Qdrant does not hold these vectors any more. They are carried there again from the record store.")


class FolderInUseError(TierUnavailableError):
    """Another process has the folder of Qdrant's own code open."""

    def __init__(self) -> None:
        super().__init__(
            TIER, "Another process uses the folder of [qdrant] path; only one can. This one works without it; a server serves several."
        )


@contextmanager
def qdrant_errors() -> Iterator[None]:
    """Whatever goes wrong in Qdrant or on the way there: the tier is to be passed over, and may be asked again."""
    try:
        yield
    except TierUnavailableError:
        raise
    except Exception as error:  # the driver raises what each of its transports and its local mode raise, ValueError among it
        if _is_missing(error):
            raise CollectionGoneError from error
        if _is_refused(error):
            raise TierUnavailableError(TIER, "Qdrant refuses the key. Check api_key of [qdrant] in the configuration.") from error
        log.info("qdrant_failed", error=type(error).__name__)
        raise TierUnavailableError(TIER, "Qdrant cannot be reached, or refuses what it was asked.") from error


def _is_missing(error: Exception) -> bool:
    if isinstance(error, UnexpectedResponse):
        return error.status_code == 404
    if isinstance(error, grpc.aio.AioRpcError):
        return bool(error.code() == grpc.StatusCode.NOT_FOUND)
    return isinstance(error, ValueError) and str(error).startswith("Collection ") and str(error).endswith(" not found")


def _is_refused(error: Exception) -> bool:
    if isinstance(error, UnexpectedResponse):
        return error.status_code in (401, 403)
    refusals = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    return isinstance(error, grpc.aio.AioRpcError) and error.code() in refusals
