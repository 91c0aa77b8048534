"""What things are called in Redis: `memory:<format>:<tenant>:...`, so that an ACL can keep tenants apart."""

import hashlib
from urllib.parse import quote

FORMAT = 1
"""Moves when what is stored under a key is written differently; older entries are then never read, and run out."""

_PREFIX = f"memory:{FORMAT}"


def candidates_key(key: str) -> str:
    """Of a recall cache's key, `<tenant>/<digest>`."""
    tenant, _, digest = key.rpartition("/")
    return f"{_PREFIX}:{quote(tenant, safe='')}:candidates:{quote(digest, safe='')}"


def question_key(epoch: str, text: str) -> str:
    """Of a question's embedding, which belongs to no tenant; of the text only a digest is told."""
    digest = hashlib.blake2b(digest_size=20)
    for part in (epoch, text):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return f"{_PREFIX}::question:{digest.hexdigest()}"


def changes_key(tenant: str) -> str:
    """Of a tenant's stream of changes."""
    return f"{_PREFIX}:{quote(tenant, safe='')}:changes"
