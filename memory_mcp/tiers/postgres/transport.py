"""How the database is spoken to: over a Unix socket, to this machine, or with TLS."""

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from memory_mcp.errors import ConfigError
from memory_mcp.loopback import HOW_TO_ALLOW, elsewhere
from memory_mcp.tiers.postgres.settings import PostgresSettings

_WITH_TLS = ("require", "verify-ca", "verify-full")
"""Values of sslmode with which libpq gives up rather than go on without: https://www.postgresql.org/docs/current/libpq-ssl.html"""


def refuse_plaintext(settings: PostgresSettings) -> None:
    """See that nothing is said to another machine in the clear, unless that is allowed.

    Raises:
        ConfigError: It would be; nothing was said yet.
    """
    if settings.allow_plaintext:
        return
    for key in ("dsn", "owner_dsn"):
        if in_the_clear(getattr(settings, key).get_secret_value()):
            raise ConfigError(
                f"{key} of [records] leads to another machine, and would do without TLS: add sslmode=verify-full to it (or at least "
                f"sslmode=require, which does not look whose certificate it is), {HOW_TO_ALLOW}."
            )


def in_the_clear(dsn: str) -> bool:
    """Whether libpq may speak to another machine without TLS, given this and what its environment says; of no address it is not."""
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value}
    except ProgrammingError:  # which whoever connects is told
        return False
    usual = {option.keyword.decode(): option.val.decode() for option in Conninfo.get_defaults() if option.val}
    known = {**usual, **given}
    if known.get("sslmode") in _WITH_TLS or not dsn:
        return False
    named = (known.get("hostaddr") or known.get("host", "")).split(",")
    hosts = [host for host in named if host and not host.startswith(("/", "@"))]  # a socket otherwise
    return bool(elsewhere(hosts)) or ("service" in known and not known.get("host"))
