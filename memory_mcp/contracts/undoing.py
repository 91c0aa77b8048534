"""Which operations can be taken back, and what is said of the others: the same in every record store. Pure."""

from memory_mcp.errors import RequestError
from memory_mcp.models import Operation, Scope

UNDOABLE = ("remember", "update", "forget", "merge", "import")
NONE = "There is nothing to undo in this namespace."
TOO_FEW = "Only {count} operations of yours can be undone in this namespace. Nothing was undone; ask for fewer."
GONE = (
    "Operation {number} cannot be undone any more: what it changed was erased, has lain in the trash for too long, or, of an import, "
    "was changed since."
)
CHANGED_LATER = "Operation {number} cannot be undone yet: operation {later} changed the same memory later. Undo {later} first."
STORED_AGAIN = (
    "Operation {number} cannot be undone: what this would bring back is stored again meanwhile, with the same text or key: "
    "forget that one first."
)


def undoable(number: int, entry: Operation | None, scope: Scope) -> Operation:
    """The entry of that number; RequestError where it is not one of the scope that can be undone."""
    if entry is None or entry.scope != scope:
        raise RequestError(f"No operation {number} in this namespace. Use the operation number from a receipt.")
    if entry.undone_by is not None:
        raise RequestError(f"Operation {number} was undone already, by operation {entry.undone_by}.")
    if entry.action == "undo":
        raise RequestError(f"Operation {number} is an undo; repeat the change itself instead.")
    if entry.action not in UNDOABLE:
        raise RequestError(f"Operation {number} is final and cannot be undone.")
    return entry
