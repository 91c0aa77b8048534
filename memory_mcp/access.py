"""Who may do what: roles, and which namespaces of a tenant are open to a caller. Pure."""

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum

PERSONAL = "personal"
"""The namespace of a person's own memories; where there are several people, `personal/<subject>` and what lies below it."""


class Role(IntEnum):
    """What a caller may do, and with it everything that the ones before may."""

    READER = 1
    """Search and read."""
    WRITER = 2
    """Store, correct and forget single memories."""
    MANAGER = 3
    """See and edit the whole tenant, private memories included; forget many at once."""
    ADMIN = 4
    """See how the server itself is doing; tokens, erasure and maintenance."""

    @property
    def word(self) -> str:
        """As it stands in tokens, settings and sentences."""
        return self.name.lower()


ROLES = {role.word: role for role in Role}


@dataclass(frozen=True, slots=True)
class Access:
    """What one caller may see and do within its tenant; without arguments everything, as a client on this machine's pipes.

    Attributes:
        subject: Who it is; empty: the owner of the tenant, to whom nothing is somebody else's.
        namespaces: Those that are open, each with what lies below it (`acme` opens `acme/web`); empty: every one.
    """

    role: Role = Role.ADMIN
    subject: str = ""
    namespaces: tuple[str, ...] = ()

    @property
    def home(self) -> str:
        """The caller's own namespace; empty for an owner, who has no need of one."""
        return f"{PERSONAL}/{self.subject}" if self.subject else ""

    @property
    def is_whole(self) -> bool:
        """Whether the whole tenant is open, so that nothing has to be left out."""
        return self.role >= Role.MANAGER and not self.namespaces

    def meant(self, namespace: str) -> str:
        """What a caller means by a namespace: `personal` is everybody's own."""
        return self.home if self.home and namespace == PERSONAL else namespace

    def private_part(self, namespace: str) -> str:
        """Where in a namespace the caller's private memories lie; the namespace itself where all of it is the caller's own."""
        if not self.home or _lies_in(namespace, PERSONAL):
            return namespace
        return f"{self.home}/{namespace}"

    def may_read(self, namespace: str) -> bool:
        """Whether memories of that namespace may be an answer. Private ones are for their owner and for managers."""
        if self.home and _lies_in(namespace, self.home):
            return True
        open_here = not self.namespaces or any(_lies_in(namespace, given) for given in self.namespaces)
        return open_here and (self.role >= Role.MANAGER or not _lies_in(namespace, PERSONAL))

    def may_write(self, namespace: str) -> bool:
        """Whether memories of that namespace may be stored, changed and forgotten."""
        return self.role >= Role.WRITER and self.may_read(namespace)


EVERYTHING = Access()
"""Of somebody whose memories these are."""


_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SUBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,79}")


TENANT_IS = "a tenant's name is 1 to 64 of the characters A-Z a-z 0-9 _ -"


def is_tenant(name: str) -> bool:
    """Whether a tenant may be called so."""
    return _TENANT.fullmatch(name) is not None


def subject(name: str) -> str:
    """A person's or program's name as it can stand in a namespace; one that cannot becomes a readable one with a digest.

    Two names never become the same: what stands here by itself holds no `~`.
    """
    if _SUBJECT.fullmatch(name):
        return name
    digest = hashlib.blake2b(name.encode(errors="replace"), digest_size=12).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9.@+-]+', '-', name)[:40].lstrip('.@+-') or 'x'}~{digest}"


def _lies_in(namespace: str, other: str) -> bool:
    return namespace == other or namespace.startswith(f"{other}/")
