"""What the driver's errors mean; none of its words pass, since they can name hosts, users and rows."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import structlog
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from memory_mcp.errors import StoreFullError, StoreReadOnlyError, TierError, TierUnavailableError

log = structlog.get_logger(__name__)

TIER = "postgres"

AWAY = "The memory database cannot be reached at the moment, or closed the connection. Nothing was lost; try again."
CROWDED = "The memory database is busy: no connection became free in time. Nothing was written; try again."
SLOW = "The memory database took too long over this call and it was given up. Nothing was written; try again."
CLASHED = "Two calls got in each other's way in the memory database. Nothing was written; try again."
UNCERTAIN = (
    "The connection to the memory database broke while it was saving, so it is uncertain whether this was stored. "
    "Repeat the call: what is there already is not stored twice."
)
CANNOT_SERVE = "The memory database does not let this program work: run `memory-mcp doctor`, which says what is missing."
REFUSED = "The memory database refused a statement; the log has more. Nothing was written."

REPEATABLE = (errors.DeadlockDetected, errors.SerializationFailure)
"""Chance alone decided against the transaction: at once again is the remedy."""


@contextmanager
def postgres_errors() -> Iterator[None]:
    """Driver errors stop here."""
    try:
        yield
    except (PoolTimeout, TooManyRequests) as error:
        raise TierUnavailableError(TIER, CROWDED) from error
    except PoolClosed as error:
        raise TierError(TIER, "The memory store is closed.") from error
    except (errors.ReadOnlySqlTransaction, errors.DiskFull, errors.QueryCanceled, errors.InsufficientPrivilege) as error:
        raise _meant(error) from error
    except (*REPEATABLE, errors.LockNotAvailable) as error:
        raise TierUnavailableError(TIER, CLASHED) from error
    except (psycopg.OperationalError, psycopg.InterfaceError, errors.AdminShutdown) as error:
        raise TierUnavailableError(TIER, AWAY) from error
    except (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName) as error:
        raise TierError(TIER, CANNOT_SERVE) from error
    except psycopg.Error as error:
        log.error("statement_refused", tier=TIER, error=type(error).__name__, sqlstate=error.sqlstate)
        raise TierError(TIER, REFUSED) from error


def _meant(error: psycopg.Error) -> TierError:
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return StoreReadOnlyError(TIER, "The memory database is read-only (a standby?): recall works, but nothing can be stored.")
    if isinstance(error, errors.DiskFull):
        return StoreFullError(TIER)
    if isinstance(error, errors.QueryCanceled):
        return TierUnavailableError(TIER, SLOW)
    return TierError(TIER, CANNOT_SERVE)
