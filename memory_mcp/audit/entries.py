"""What an entry says beside who it was, and what is asked of a log. Pure."""

from dataclasses import dataclass
from datetime import datetime

SERVER = "@server"
"""The tenant of entries that concern no tenant, like a token that nobody knows; no tenant can be called so."""

DENIED = "denied"
"""The action of every entry on a call that was refused."""


@dataclass(frozen=True, slots=True)
class Origin:
    """From where somebody came, and with what right.

    Attributes:
        address: Of a client over HTTP; else `stdio`, `command line`, or empty for the server itself.
        role: What they may do.
        token: What let them in, by a name that tells nothing of it: the id of a token, `jwt/SUBJECT`, `os/LOGIN`.
    """

    address: str = ""
    role: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which entries of a log are meant; what is not given means all.

    Attributes:
        since, until: Written at that time or later, and before that time.
        who: A user, client or agent, an address, or what let them in (the id of a token), exactly.
        what: An action, or a tool that was called.
        namespace: That was written to, or asked for.
        denied: Only calls that were refused.
    """

    since: datetime | None = None
    until: datetime | None = None
    who: str = ""
    what: str = ""
    namespace: str = ""
    denied: bool = False


EVERY_ENTRY = LogFilter()
