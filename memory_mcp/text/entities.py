"""Who and what a text speaks of, read by form alone: names, code identifiers, files, addresses; and relations, as they are written.

Pure, and cheap enough to be done at every write. It reads scripts with capital letters: elsewhere, and where a writer
knows better, metadata names what a memory is about (`entities_of`).
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from memory_mcp.text import words

MAX_ENTITIES = 48
"""Of one memory; those that its writer names come first."""
MAX_NAME_CHARACTERS = 200
MAX_RELATIONS = 100
"""Of one memory."""
READ_CHARACTERS = 20_000
"""Of a text: entities further back are not found."""
MAX_ASKED = 256

ENTITY, ENTITIES, RELATIONS = "entity", "entities", "relations"
"""Metadata: the one that a memory is about, others that it speaks of, and relations, each `subject | relation | object`."""
IS_A, ALSO_CALLED = "is a", "also called"
"""Relations that tell an entity's type, and another name of it."""

_UPPER = "A-Z\u00c0-\u00d6\u00d8-\u00de\u0391-\u03a9\u0410-\u042f"
_WORD = rf"[{_UPPER}][\w’'&-]*"
_EXTENSIONS = (
    "bash|c|cc|cfg|cpp|cs|css|csv|db|go|gz|h|hpp|html|ini|ipynb|java|jpg|js|json|jsonl|jsx|kt|lock|log|lua|md|mjs|pdf|php|png|proto|py|rb|"
    "rs|rst|scss|sh|sql|sqlite|svelte|swift|toml|ts|tsx|txt|vue|xml|yaml|yml|zip|zsh"
)
_ENDS = ".,;:!?'’\"…"
_POSSESSIVE = re.compile(r"['’]s?$")
_BEGINS = re.compile(r"(?:^|[.!?:;…\n•>*|]|\n\s*[-\d.]+)[\s\"'“(*_-]*$")
OPENERS = frozenset(
    """a about above according actually add after again all allow already also although always am among an and another any anyone are
    as ask at avoid based be because been before being below beside besides between both build but by call can change check choose
    clean close consider could create currently debug delete deploy despite did do does done don't drop due during each either
    enable ensure every everyone everything except explain few finally find first fix for from generally get give go good had has
    have he hello help her here hey hi his how however i i'd i'll i'm i've if important in inside install instead into is it it's
    its just keep last later less let let's like look made make many maybe me more most move must my need never new next no nobody
    none nor not note nothing now of off often oh ok okay old on once one only open or other others otherwise our out over own
    people per perhaps please prefer put rather read really recently remember remove rename replace restart return run same save
    second see send set several she should show similarly since so some somebody someone something sometimes soon sorry start still
    stop store such sure take tell test thank thanks that that's the their them then there there's therefore these they they're this
    those though three through thus to today todo together tomorrow tonight too try turn two under unless until up update upon use
    used using usually very via wait want warning was we we're well were what what's whatever when whenever where whereas whether
    which while who whole whose why will with within without work would wow write yeah yes yesterday yet you you're your monday
    tuesday wednesday thursday friday saturday sunday january february march april may june july august september october november
    december mon tue wed thu fri sat sun jan feb mar apr jun jul aug sep sept oct nov dec ok am pm etc""".split()
)
"""Words that are capitalised for where they stand, or name no one thing."""
_ORDINARY = re.compile(r"(?:ing|ed|ly|tions?|ments?|ness|ity)$")
"""How words end that begin a sentence and are rarely names."""
_LISTED = re.compile(r"[|,;]")
_SEPARATOR = re.compile(r"\s*\|\s*")
_TRIMMED = re.compile(r"^[\W_]+|[^\w)]+$")


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that a text speaks of; its name is one line without hidden characters.

    Attributes:
        name: As it stands in the text.
        type: url, email, handle, path, identifier or name; empty where a writer has named it.
    """

    name: str
    type: str = ""

    @property
    def key(self) -> str:
        """Equal for what is the same entity of a namespace."""
        return entity_key(self.name)


@dataclass(frozen=True, slots=True)
class Statement:
    """A relation between two entities, and when it holds; None: since or until nobody knows when."""

    subject: str
    predicate: str
    object: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None

    @property
    def triple(self) -> tuple[str, str, str]:
        """Equal for what is the same relation."""
        return entity_key(self.subject), entity_key(self.predicate), entity_key(self.object)

    def __str__(self) -> str:
        """As it is written in metadata; `read_relation` is the inverse."""
        ends = [None if moment is None else moment.astimezone(UTC).isoformat() for moment in (self.valid_from, self.valid_to)]
        while ends and ends[-1] is None:
            ends.pop()
        return " | ".join([self.subject, self.predicate, self.object, *(end or "" for end in ends)])


def entity_key(name: str) -> str:
    """A name without what may differ from text to text: case, width of characters, white space, a final slash."""
    return (_folded(name).rstrip("/") or "/")[:MAX_NAME_CHARACTERS]


def _folded(text: str) -> str:
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def entities_in(text: str) -> list[Entity]:
    """What the text speaks of, each once, in the order of the text."""
    found: dict[str, Entity] = {}
    read = text[:READ_CHARACTERS]
    for match in _forms().finditer(read):
        form = str(match.lastgroup)
        for entity in _names(match, read) if form == "name" else _others(match[0], form):
            found.setdefault(entity.key, entity)
        if len(found) >= MAX_ENTITIES:
            break
    return list(found.values())[:MAX_ENTITIES]


@cache
def _forms() -> re.Pattern[str]:
    """Compiled when it is first needed: importing waits for nothing."""
    return re.compile(
        "|".join(
            (
                r"(?P<url>https?://[^\s<>\"'`)\]}|]+)",
                r"(?P<email>(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+)",
                r"(?P<handle>(?<![\w@/.])@[A-Za-z][\w-]{1,38}(?![\w@/]))",
                rf"(?P<path>(?:(?<![\w/.~:@])(?:~|\.{{1,2}})?/[\w.@+-]+(?:/[\w.@+-]+)+|(?<![\w\\])[A-Za-z]:\\[\w.\\@+-]+"
                rf"|(?<![\w/.@-])(?:[\w@+-][\w.@+-]*/)*[\w@+-][\w.@+-]*\.(?:{_EXTENSIONS})(?![\w/])))",
                r"(?P<quoted>(?<!`)`[^`\n]{2,80}`(?!`))",
                r"(?P<identifier>(?<![\w.])(?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?=\(\))|[A-Za-z]\w*_\w+|[a-z]+\d*[A-Z]\w*|[A-Z]{2,10}-\d{1,6})(?!\w))",
                rf"(?P<name>(?<![\w.]){_WORD}(?:[ ](?:(?:of|de|del|da|di|van|von|der|den|la|le|du|bin|al)[ ]){{0,2}}{_WORD}){{0,4}})",
            )
        )
    )


def _others(text: str, form: str) -> Iterator[Entity]:
    if form == "quoted":
        form, text = "identifier", text.strip("`").strip()
    name = text.rstrip(_ENDS if form == "url" else ".-") if form in ("url", "email", "path", "handle") else text
    if 2 <= len(name) <= MAX_NAME_CHARACTERS and name.isprintable() and any(character.isalpha() for character in name):
        yield Entity(name, form)


def _names(match: re.Match[str], text: str) -> Iterator[Entity]:
    """A run of capitalised words, without what is capitalised for another reason."""
    run = match[0].split(" ")
    kept: list[str] = []
    for word in run:
        bare = _POSSESSIVE.sub("", word.rstrip(_ENDS + "-&"))
        ordinary = len(run) == 1 and _ORDINARY.search(bare) and _BEGINS.search(text, max(0, match.start() - 8), match.start())
        if not bare or ordinary or (bare.lower() in OPENERS and bare not in ("IT", "US")):
            yield from _name(kept)
            kept = []
            continue
        kept.append(bare)
        if bare != word:  # what follows a possessive is another name
            yield from _name(kept)
            kept = []
    yield from _name(kept)


def _name(kept: Sequence[str]) -> Iterator[Entity]:
    while kept and not kept[-1][0].isupper():  # a particle, left by what followed it
        kept = kept[:-1]
    while kept and not kept[0][0].isupper():
        kept = kept[1:]
    name = " ".join(kept)
    if 2 <= len(name) <= MAX_NAME_CHARACTERS and name.isprintable():
        yield Entity(name, "name")


def read_relation(text: str) -> Statement | None:
    """A relation from `subject | relation | object`, with `| from | until` where it holds for a time only; None for anything else.

    Times are ISO 8601; a date alone is its midnight, one without zone is UTC.
    """
    if len(text) > 4 * MAX_NAME_CHARACTERS:
        return None
    parts = _SEPARATOR.split(text.strip())
    if not 3 <= len(parts) <= 5 or any(not part or len(part) > MAX_NAME_CHARACTERS or not part.isprintable() for part in parts[:3]):
        return None
    try:
        ends = [_moment(part) for part in parts[3:]] + [None, None]
    except (ValueError, OverflowError):
        return None
    since, until = ends[:2]
    if since is not None and until is not None and since >= until:
        return None
    return Statement(parts[0], parts[1], parts[2], since, until)


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def relations_of(metadata: Mapping[str, Any]) -> list[Statement]:
    """The relations that a memory's metadata states; what is none is passed over."""
    given = metadata.get(RELATIONS)
    texts = [given] if isinstance(given, str) else given if isinstance(given, (list, tuple)) else []
    read = [read_relation(text) for text in texts[:MAX_RELATIONS] if isinstance(text, str)]
    return list({one.triple: one for one in read if one is not None}.values())


def with_relations(metadata: Mapping[str, Any], stated: Sequence[Statement], *, without: bool = False) -> dict[str, Any]:
    """Metadata that states these relations, in place of what it states of the same; or states them no more."""
    given = metadata.get(RELATIONS, [])
    before = given if isinstance(given, list) else [given]
    same = {one.triple for one in stated}
    read = [read_relation(text) if isinstance(text, str) else None for text in before]
    kept = [text for text, one in zip(before, read, strict=True) if one is None or one.triple not in same]
    after = kept if without else [*kept, *map(str, stated)]
    rest = {name: value for name, value in metadata.items() if name != RELATIONS}
    return {**rest, RELATIONS: after} if after else rest


def texts_in(metadata: Any) -> Iterator[str]:
    """Every text among the values of a memory's metadata, also in lists and objects within it."""
    if isinstance(metadata, str):
        yield metadata
    elif isinstance(metadata, Mapping):
        yield from (text for value in metadata.values() for text in texts_in(value))
    elif isinstance(metadata, (list, tuple)):
        yield from (text for value in metadata for text in texts_in(value))


def names_in(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Whatever may be somebody's name: each text, and what stands in it between commas, semicolons or the bars of a relation."""
    for text in texts_in(metadata):
        yield text
        yield from (part.strip() for part in _LISTED.split(text))


def entities_of(content: str, metadata: Mapping[str, Any]) -> list[Entity]:
    """What a memory is about: named in its metadata, related in it, or standing in its text."""
    named: list[str] = []
    for value in (metadata.get(ENTITY), metadata.get(ENTITIES)):
        named += value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
    named = [one.strip() for one in named[:MAX_ENTITIES] if isinstance(one, str)]
    given = [Entity(one) for one in named if one and len(one) <= MAX_NAME_CHARACTERS and one.isprintable()]
    for one in relations_of(metadata):  # a type is no entity
        given += [Entity(one.subject)] if one.triple[1] == IS_A else [Entity(one.subject), Entity(one.object)]
    read = entities_in(content)
    types = {entity.key: entity.type for entity in read}
    first = {entity.key: Entity(entity.name, types.get(entity.key, "")) for entity in given}
    for entity in read:
        if len(first) >= MAX_ENTITIES:
            break
        first.setdefault(entity.key, entity)
    return list(first.values())


def speaks_of(text: str, key: str) -> bool:
    """Whether a name stands in the text as whole words, in whatever case: also one that its form does not tell, like `db7` or `tea`."""
    return re.search(rf"(?<!\w){re.escape(key)}(?!\w)", _folded(text[:READ_CHARACTERS])) is not None


def asked_keys(question: str) -> list[str]:
    """The keys of whatever a question might name: what it spells as a name, and its words, alone and up to three together."""
    found = dict.fromkeys(entity.key for entity in entities_in(question))
    spelled = [entity_key(_POSSESSIVE.sub("", _TRIMMED.sub("", token))) for token in question[:2_000].split()]
    content = set(words.query_terms(question))
    for length in (3, 2, 1):
        for start in range(len(spelled) - length + 1):
            run = spelled[start : start + length]
            if run[0] in OPENERS or run[-1] in OPENERS or (length == 1 and not content.intersection(words.content_terms(run[0]))):
                continue
            found.setdefault(" ".join(run))
    return [key for key in found if 1 < len(key) <= MAX_NAME_CHARACTERS][:MAX_ASKED]
