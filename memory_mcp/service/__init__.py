"""The use cases: each reads like the sentence it carries out, every step a seam or a pure function."""

from memory_mcp.service.browsing import Browsing
from memory_mcp.service.carrying import Carrying
from memory_mcp.service.compat import Compat
from memory_mcp.service.erasing import Erasing
from memory_mcp.service.keeping import Keeping
from memory_mcp.service.learning import Learning
from memory_mcp.service.linking import Linking
from memory_mcp.service.parts import Parts
from memory_mcp.service.starting import Starting

__all__ = ["MemoryService", "Parts"]


class MemoryService(Linking, Compat, Learning, Starting, Keeping, Erasing, Browsing, Carrying):
    """One tenant-aware memory over whatever backends the composition root chose."""

    __slots__ = ()
