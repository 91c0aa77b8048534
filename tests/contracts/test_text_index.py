"""What full text owes its callers: any words find what has them, in any script, and nothing is ever a syntax error."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_stores import ANYTHING, ELSEWHERE, GLOBAL, HOME, NOW, SECOND, OpenStore, add, draft, found, new_id

from memory_mcp.models import Filter, Scope

FINDS = [
    ("snake_case", "the setting max_page_count is too low", "max_page_count"),
    ("part of snake_case", "the setting max_page_count is too low", "page"),
    ("camelCase", "call getUserName first", "getUserName"),
    ("camelCase in another case", "call getUserName first", "GETUSERNAME"),
    ("part of camelCase", "call getUserName first", "user name"),
    ("path", "see src/app/main.py for it", "src/app/main.py"),
    ("file name", "see src/app/main.py for it", "main.py"),
    ("part of a path", "see src/app/main.py for it", "app"),
    ("version", "needs Python 3.11.7", "3.11"),
    ("error code", "rustc says E0502 again", "e0502"),
    ("accents in the text", "Café Ångström", "cafe angstrom"),
    ("accents in the query", "resume of Jose", "résumé José"),
    ("decomposed accents", "cafe\u0301", "caf\u00e9"),
    ("sharp s", "Straße", "STRASSE"),
    ("full width", "ＡＰＩ ２", "api"),
    ("Greek", "Η Αθήνα", "ΑΘΗΝΑ"),
    ("Cyrillic", "Ёлка стоит", "елка"),
    ("Hindi", "मुझे चाय पसंद है", "चाय"),
    ("Thai", "ฉันชอบกาแฟ", "กาแฟ"),
    ("one Han character", "我喜欢猫", "猫"),
    ("two Han characters", "東京タワーに行った", "東京"),
    ("more Han characters", "我们决定使用数据库", "使用数据库"),
    ("Hangul", "한국어를 공부한다", "한국어"),
    ("kana", "カタカナ", "カタ"),
    ("rare Han character", "𠮷野家", "𠮷"),
    ("a newer script", "\U0001e900\U0001e92f \U0001e901", "\U0001e900\U0001e92f"),
    ("Arabic", "أحب القهوة", "القهوة"),
    ("word forms", "she was running two databases", "run database"),
    ("stop words alone", "to be or not to be", "to be"),
    ("apostrophe", "don't panic", "don't"),
    ("long word", "x" * 40_000, "x" * 40_000),
]


@pytest.mark.parametrize(("text", "query"), [case[1:] for case in FINDS], ids=[case[0] for case in FINDS])
async def test_words_find_their_text(open_store: OpenStore, text: str, query: str) -> None:
    async with open_store() as store:
        await add(store, "something else entirely: zebra")
        await add(store, text)

        assert await found(store, query) == [text]


HARMLESS = """" ' don't a-b ( ) AND OR|NOT NEAR(zebra,2) ^ * zebra* \\ body:zebra -zebra {a|b}|:|c % ; --""".split()


@pytest.mark.parametrize("query", HARMLESS)
async def test_operators_are_words(open_store: OpenStore, query: str) -> None:
    query = query.replace("|", " ")
    async with open_store() as store:
        await add(store, "a zebra and a near miss")
        await add(store, "quite different")

        assert set(await found(store, query)) <= {"a zebra and a near miss"}
        assert (await found(store, f"{query} zebra"))[:1] == ["a zebra and a near miss"]


@settings(max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(queries=st.lists(st.text(st.characters()), min_size=10, max_size=20))
async def test_no_query_is_a_syntax_error(open_store: OpenStore, queries: list[str]) -> None:
    async with open_store() as store:
        for query in queries:
            hits = await store.search_text([HOME, GLOBAL], query, ANYTHING, limit=5)
            assert hits == []


@settings(max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(categories=["L", "N", "M", "Zs"]), min_size=1, max_size=40))
async def test_every_text_is_found_by_itself(open_store: OpenStore, text: str) -> None:
    async with open_store() as store:
        scope = Scope("local", str(new_id()))
        await add(store, text, scope)
        has_words = any(character.isalnum() for character in text)

        assert await found(store, text, scope) == [text] or not has_words


@pytest.mark.parametrize("query", ["", " ", "!?", "\u0301", "👍"])
async def test_a_query_without_words_finds_nothing(open_store: OpenStore, query: str) -> None:
    async with open_store() as store:
        await add(store, "anything 👍 !?")

        assert await found(store, query) == []


async def test_tags_key_and_metadata_are_searched_too(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "one", tags=("deep-learning",))
        await add(store, "two", key="user.editor")
        await add(store, "three", metadata={"speaker": "Grace", "n": 5})
        await add(store, "grace in the text")

        assert await found(store, "learning") == ["one"]
        assert await found(store, "editor") == ["two"]
        assert await found(store, "grace") == ["grace in the text", "three"]
        assert await found(store, "speaker") == []


async def test_a_rare_word_counts_more_than_a_common_one(open_store: OpenStore) -> None:
    async with open_store() as store:
        for n in range(20):
            await add(store, f"the meeting was about budget item {n}")
        await add(store, "the zebra stood there")
        hits = await store.search_text([HOME], "meeting zebra", ANYTHING, limit=30)
        memories = await store.get_many([HOME], [hit.id for hit in hits])

        assert len(hits) == 21
        assert memories[0].content == "the zebra stood there"
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert all(hit.score >= 0 for hit in hits)


async def test_more_of_the_words_and_a_shorter_text_are_better(open_store: OpenStore) -> None:
    async with open_store() as store:
        long = "red apple " + "and many other things that nobody asked for " * 5
        for text in (long, "red apple", "red wall", "green wall", "blue wall", "grey wall"):
            await add(store, text)

        assert (await found(store, "red apple"))[:2] == ["red apple", long]


async def test_equal_ones_by_id_and_no_more_than_asked(open_store: OpenStore) -> None:
    async with open_store() as store:
        ids = [new_id() for _ in range(6)]
        for n, memory_id in sorted(enumerate(ids), reverse=True):
            await add(store, f"zebra {'abcdef'[n] * 3}", id=memory_id)
        hits = await store.search_text([HOME], "zebra", ANYTHING, limit=4)

    assert [hit.id for hit in hits] == ids[:4]
    assert len({hit.score for hit in hits}) == 1


async def test_the_filter_comes_before_the_limit(open_store: OpenStore) -> None:
    async with open_store() as store:
        for n in range(30):
            await add(store, f"zebra {n}")
        await add(store, "zebra far down " + "with many other words " * 9, kind="rule", expires_at=NOW + SECOND)

        assert len(await found(store, "zebra", where=Filter(kinds=frozenset({"rule"})), limit=1)) == 1
        assert await found(store, "zebra", where=Filter(kinds=frozenset({"rule"}), now=NOW + SECOND), limit=1) == []


async def test_only_the_scopes_asked_for(open_store: OpenStore) -> None:
    async with open_store() as store:
        for scope in (HOME, GLOBAL, ELSEWHERE):
            await add(store, f"zebra of {scope.tenant} {scope.namespace}", scope)

        assert set(await found(store, "zebra", HOME, GLOBAL)) == {"zebra of local home", "zebra of local global"}
        assert await found(store, "zebra", Scope("local", "never written")) == []
        assert await store.search_text([], "zebra", ANYTHING, limit=5) == []


async def test_a_scopes_number_is_no_word_of_its_memories(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "anything")

        assert [await found(store, f"scope{n}") for n in range(3)] == [[]] * 3


async def test_many_scopes_at_once(open_store: OpenStore) -> None:
    scopes = [Scope("local", f"namespace {n}") for n in range(300)]
    async with open_store() as store:
        for n in range(0, 300, 10):
            await store.add(draft(f"zebra {n}", scopes[n]), None, within=())

        assert len(await store.search_text(scopes, "zebra", ANYTHING, limit=999)) == 30
