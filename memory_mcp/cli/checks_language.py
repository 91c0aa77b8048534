"""Whether the model was taught the languages that the memories are in."""

from collections import Counter

from memory_mcp.assembly import open_records
from memory_mcp.cli.verdicts import Check
from memory_mcp.clock import utc_now
from memory_mcp.config import Settings
from memory_mcp.contracts import Embedder
from memory_mcp.models import Filter
from memory_mcp.recall.calibration import model_scale, telling
from memory_mcp.recall.foreign_probes import FOREIGN_PAIRS
from memory_mcp.recall.probes import PAIRS
from memory_mcp.text.languages import ENGLISH, NAMES, language_of

LOOKED_AT = 500
"""Of each tenant's memories, the newest."""
MANY = 0.2
"""Share of them from which on a language is worth a model that knows it."""
TELLING = 0.5
"""Share of what the model tells apart in English, below which it hardly knows a language."""


async def examine(settings: Settings, embedder: Embedder) -> list[Check]:
    """Nothing where hardly any memory is in another language than English.

    Raises:
        EmbedderNotReadyError, TierError: The model or the store is away.
    """
    found = await _languages(settings)
    language, many = max(((one, count) for one, count in found.items() if one != ENGLISH), key=lambda each: each[1], default=("", 0))
    if not many or many < MANY * found.total():
        return []
    english, own = [
        model_scale(
            (await embedder.embed([question for question, _ in pairs]))[0], (await embedder.embed([answer for _, answer in pairs]))[0]
        )
        for pairs in (PAIRS, FOREIGN_PAIRS[language])
    ]
    told = f"{many} of the {found.total()} newest memories are in {NAMES[language]}"
    if telling({ENGLISH: english, language: own}, language) >= TELLING:
        return [Check("languages", "ok", f"{told}, which the model knows")]
    return [
        Check(
            "languages",
            "note",
            f"{told}, in which the model hardly tells texts apart",
            'Choose a multilingual one, such as model = "paraphrase-multilingual-MiniLM-L12-v2" below [embedding] in config.toml: '
            "memories are embedded anew by themselves.",
        )
    ]


async def _languages(settings: Settings) -> Counter[str]:
    found: Counter[str] = Counter()
    async with open_records(settings) as store:
        for tenant in await store.tenants():
            memories = await store.newest(await store.scopes(tenant), Filter(now=utc_now()), limit=LOOKED_AT)
            found.update(language_of(memory.content) for memory in memories)
    return found
