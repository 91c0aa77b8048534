"""The use cases over the real store and the real model."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from memory_mcp.answers import ErrorReport, RecallRequest, Selection
from memory_mcp.config import Settings
from memory_mcp.embedding.settings import EmbeddingSettings
from memory_mcp.errors import ConflictError, EmbedderNotReadyError
from memory_mcp.models import Caller, Recalled
from memory_mcp.recall.gather import BY_ANOTHER_MODEL
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.server import render
from memory_mcp.service import MemoryService, keeping
from tests.embedding.endpoint import Answer, Request, serving
from tests.memories import CALLER, PATIENT, open_service, settings_for, settings_without_model


async def remember(service: MemoryService, content: str, caller: Caller = CALLER, **fields: object) -> str:
    receipt = await service.remember(RememberRequest(content, **fields), caller)  # type: ignore[arg-type]
    return str(receipt.added.id)


async def recall(service: MemoryService, query: str, **fields: object) -> list[str]:
    answer = await service.recall(RecallRequest(query, **fields), CALLER)  # type: ignore[arg-type]
    return [str(hit.memory.id) for hit in answer.hits]


async def test_what_is_acknowledged_is_found_by_the_very_next_recall(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        for number in range(20):
            stored = await remember(service, f"The meeting room number {number} is painted in colour {number * 7}")
            assert stored in await recall(service, f"What colour is meeting room {number}?", limit=3)


async def test_a_question_of_a_time_alone_gets_what_is_of_that_time_newest_first(tmp_path: Path) -> None:
    """`What did we do yesterday?` shares neither words nor meaning with what answers it."""
    async with open_service(settings_for(tmp_path)) as service:
        ago = [(service.clock() - timedelta(days=days)).isoformat() for days in range(9)]
        offer = await remember(service, "Wrote the offer for the bakery.", occurred_at=ago[8])
        tests = await remember(service, "Moved the billing tests to pytest.", occurred_at=ago[1])
        flaky = await remember(service, "The flaky test of the cart is mended.", occurred_at=ago[1], kind="event")
        await remember(service, "The fair in Lyon", occurred_at=(service.clock() + timedelta(days=30)).isoformat())
        today = await remember(service, "Began to draw the map of the harbour.")
        elsewhere = await remember(service, "We did nothing yesterday", replace(CALLER, namespace="other"), occurred_at=ago[1])

        assert set(await recall(service, "What did we do yesterday?")) == {tests, flaky}
        assert await recall(service, "What did we do yesterday?", kinds=("event",)) == [flaky]
        assert await recall(service, "What did we do yesterday?", namespace="other") == [elsewhere]
        assert await recall(service, "What did we do yesterday?", since=ago[0]) == []
        assert await recall(service, "Where did we leave off?", limit=1) == [today], "what is still to come is not where we left off"
        assert (await recall(service, "Where did we leave off?", limit=10))[3:] == [offer]
        assert (await recall(service, "What happened yesterday with the billing tests?"))[0] == tests


async def test_what_is_asked_of_a_time_may_have_been_said_before_it(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path), clock=lambda: datetime(2026, 4, 28, tzinfo=UTC)) as service:
        journey = await remember(service, "We leave for Corsica in August")
        kettle = await remember(service, "The winter kettle is broken")
        assert await recall(service, "Where do we go in August?") == [journey]
        assert await recall(service, "in winter") == [kettle]
        assert await recall(service, "Where do we go in June?") == []
        assert await recall(service, "What did we do last week?", limit=1) == []


async def test_a_question_of_a_kind_alone_gets_all_of_that_kind(tmp_path: Path) -> None:
    """Unless there is none of it: then the word may have been meant as a topic."""
    async with open_service(settings_for(tmp_path)) as service:
        chess = await remember(service, "The rules of the chess club forbid phones.")
        await remember(service, "Secrets live in 1Password.", kind="fact")
        postgres = await remember(service, "Tests run against a real Postgres.", kind="decision")
        typst = await remember(service, "Invoices are made by Typst.", kind="decision")

        assert await recall(service, "Which decisions have we made?") == [typst, postgres]
        assert (await recall(service, "list all decisions"))[1:] == [postgres]
        assert await recall(service, "Which decisions and rules are there?", kinds=("decision", "fact")) == [typst, postgres]
        assert await recall(service, "Which decisions have we made?", kinds=("fact",)) == [], "facts are no decisions"
        assert (await recall(service, "What are the rules?"))[:1] == [chess]
        assert len(await recall(service, "What do you know about me?")) == 4
        assert (await recall(service, "What did we decide about Postgres?"))[0] == postgres


async def test_concurrent_calls_share_commits_and_all_are_kept(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        ids: set[str] = set()

        async def one(number: int) -> None:
            ids.add(await remember(service, f"Concurrent fact number {number}"))

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(one, number)
        counts = await service.records.counts("local")

    assert len(ids) == 200
    assert (counts.by_namespace, counts.unembedded) == ({"project": 200}, 0)


async def test_a_repeated_question_comes_from_the_cache_until_anything_changes(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        first = await remember(service, "The printer is on the second floor")
        assert await recall(service, "Where is the printer?") == [first]
        assert await recall(service, "Where is the printer?") == [first]
        calls = service.stages.summary()["gather"]["calls"]
        second = await remember(service, "The other printer is in the cellar")
        found = await recall(service, "Where is the printer?")
        await service.forget([first], CALLER)
        left = await recall(service, "Where is the printer?")

    assert calls == 1
    assert set(found) == {first, second}
    assert left == [second]


async def test_the_same_text_is_known_already_and_a_forgotten_one_is_not(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        first = await service.remember(RememberRequest("Tea, not coffee"), CALLER)
        twin = await service.remember(RememberRequest("Tea,  not coffee\n"), CALLER)
        await service.forget([str(first.added.id)], CALLER)
        again = await service.remember(RememberRequest("Tea, not coffee"), CALLER)

    assert (twin.added.status, twin.added.id) == ("already_known", first.added.id)
    assert again.added.status == "stored"
    assert again.added.id != first.added.id


async def test_chat_lines_of_different_moments_are_different_memories(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        ids = {
            await remember(service, "Good morning!", kind="chat", session_id="s1", occurred_at="2026-01-01T08:00"),
            await remember(service, "Good morning!", kind="chat", session_id="s1", occurred_at="2026-01-02T08:00"),
            await remember(service, "Good morning!", kind="chat", session_id="s2", occurred_at="2026-01-02T08:00"),
        }

    assert len(ids) == 3


async def test_a_key_has_one_current_value_also_when_it_changes_back(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        for editor in ("Vim", "Emacs", "Vim"):
            current = await remember(service, f"The user's editor is {editor}", key="user.editor")
        found = await recall(service, "Which editor does the user use?")

    assert found == [current]


async def test_an_expired_memory_is_no_answer(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    async with open_service(settings_for(tmp_path)) as service:
        service.clock = lambda: now
        stored = await remember(service, "The guest wifi code is 4711", expires_in="2 days")
        assert await recall(service, "What is the wifi code?") == [stored]
        now += timedelta(days=3)
        assert await recall(service, "What is the wifi code?") == []
        assert await recall(service, "") == []


async def test_updating_a_memory_changes_what_finds_it_and_undo_changes_it_back(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        stored = await remember(service, "The cat is called Mia", tags=["pets"])
        revised = await service.update(stored, CALLER, content="The tortoise is called Otto", tags=["animals"], importance=0.9)
        assert await recall(service, "What is the tortoise called?", tags=["animals"]) == [stored]
        await service.undo(str(revised.operation.number), CALLER)
        ((memory, versions),) = await service.get([stored], CALLER, history=True)

        assert await recall(service, "What is the cat called?", tags=["pets"]) == [stored]
    assert (memory.content, memory.tags, memory.importance) == ("The cat is called Mia", ("pets",), 0.5)
    assert [version.memory.content for version in versions] == ["The cat is called Mia", "The tortoise is called Otto"]


async def test_a_dry_run_that_is_out_of_date_forgets_nothing(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await remember(service, "One", kind="chat")
        dry = await service.forget_selected(Selection(kinds=["chat"]), CALLER, "", "")
        await remember(service, "Two", kind="chat")
        with pytest.raises(ConflictError):
            await service.forget_selected(Selection(kinds=["chat"]), CALLER, "", dry.token)

        assert len(await recall(service, "")) == 2


async def test_more_than_is_forgotten_at_once_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST_FORGOTTEN", 2)
    async with open_service(settings_for(tmp_path)) as service:
        for text in ("One", "Two", "Three"):
            await remember(service, text, kind="chat")
        told = []
        while (dry := await service.forget_selected(Selection(kinds=["chat"]), CALLER, "", "")).memories:
            done = await service.forget_selected(Selection(kinds=["chat"]), CALLER, "", dry.token)
            told += [render.forgotten(reply).structured_content for reply in (dry, done)]

    assert [facts.get("more", False) for facts in told if facts] == [True, True, False, False]
    assert [facts["forgotten"] for facts in told if facts and "forgotten" in facts] == [2, 1]


async def test_nothing_relevant_is_said_to_be_nothing(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        for text in ("The invoice template lives in the finance share", "Backups run at three in the morning", "Ann is on leave in May"):
            await remember(service, text)
        answer = await service.recall(RecallRequest("What is the capital of Mongolia?"), CALLER)

    assert (answer.verdict, list(answer.hits), answer.below) == ("none", [], 0)


async def test_context_brings_rules_first_and_each_memory_once(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        rule = await remember(service, "Never push to main on a Friday", kind="rule")
        decision = await remember(service, "We release from the branch stable", kind="decision")
        await remember(service, "The canteen serves soup on Mondays")
        sections = await service.context("prepare the release", CALLER)

    listed = [str(hit.memory.id) for hits in sections.values() for hit in hits]
    assert next(iter(sections)) == "rules"
    assert listed[0] == rule
    assert decision in listed
    assert len(listed) == len(set(listed))


async def test_context_calls_relevant_what_may_be_of_use_and_nothing_else(tmp_path: Path) -> None:
    """A task seldom has a single answer, so that less is asked of what goes with it; yet recall has more to offer than that."""
    of_use = ["Labels are printed with Code 128, since the scanners cannot read QR", "The printer in the warehouse is a Zebra ZT411"]
    of_none = ["The canteen serves soup on Mondays", "Ann's birthday is on 3 March", "The lease of the office ends in 2031"]
    async with open_service(settings_for(tmp_path)) as service:
        for content in (*of_use, *of_none, "Invoices go out on yellow paper", "The van needs new tyres"):
            await remember(service, content, session_id="a")
        await remember(service, "The last word", session_id="b")
        task = "change how labels are printed"
        sections = await service.context(task, CALLER)
        scores = {hit.memory.content: hit.score for hit in (await service.recall(RecallRequest(task), CALLER)).hits}

    relevant = [hit.memory.content for hit in sections["relevant to the task"]]
    assert relevant[:2] == of_use
    assert scores[of_use[1]] < 0.5, "it is no answer, and of use"
    assert scores.keys() & set(of_none), "recall has them, far behind"
    assert not set(of_none) & {hit.memory.content for hits in sections.values() for hit in hits}


async def test_context_leaves_out_solved_errors_and_tells_what_the_last_session_left(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await service.record_error(ErrorReport("ValueError: bad port"), CALLER)
        await service.record_error(ErrorReport("KeyError: 'host'", "Set host in app.toml"), CALLER)
        await remember(service, "Monday: the parser is half done", session_id="monday")
        await remember(service, "Tuesday: the parser is done, the printer is next", session_id="tuesday")
        sections = await service.context("", CALLER)

    told = {heading: [hit.memory.content for hit in hits] for heading, hits in sections.items()}
    assert told == {
        "open errors": ["ValueError: bad port"],
        "from the last session": ["Tuesday: the parser is done, the printer is next"],
    }


async def test_being_recalled_is_counted(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        stored = await remember(service, "The alarm code is on the note in the drawer")
        revision = await service.records.revisions(await service.records.scopes("local"))
        await recall(service, "Where is the alarm code?")
        await recall(service, "Where is the alarm code?")
        await service.reinforcer.flush()
        ((memory, _),) = await service.get([stored], CALLER)
        assert revision == await service.records.revisions(await service.records.scopes("local"))

    assert memory.recalled_count == 2


async def test_without_a_model_words_find_and_meaning_refuses(tmp_path: Path) -> None:
    async with open_service(settings_without_model(tmp_path), ready=False) as service:
        stored = await remember(service, "The archive is kept in getArchivePath")
        answer = await service.recall(RecallRequest("archive path"), CALLER)
        with pytest.raises(EmbedderNotReadyError):
            await service.find_similar("archive", "", CALLER)

    assert [str(hit.memory.id) for hit in answer.hits] == [stored]
    assert answer.degraded


def other_model(request: Request) -> Answer:
    """Another embedding model: letters and digits counted, 36 numbers."""
    texts = json.loads(request.body)["input"]
    vectors = [[1.0 + text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz0123456789"] for text in texts]
    return Answer(body=json.dumps({"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]}).encode())


async def test_after_a_change_of_model_all_is_embedded_anew_while_every_call_is_answered(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        ids = [
            await remember(service, f"Note {number}: the {word} is ready") for number, word in enumerate("oven boat kite plan".split() * 20)
        ]
    with serving(other_model) as endpoint:
        embedding = EmbeddingSettings(provider="remote", model="letters", base_url=endpoint.url)
        async with open_service(Settings(data_dir=tmp_path, embedding=embedding, recall=PATIENT)) as service:
            with anyio.fail_after(30):
                similar: Sequence[Recalled] = ()
                while (await service.records.counts("local")).unembedded or not similar:
                    assert ids[7] in await recall(service, "Note 7: the plan is ready", limit=5)
                    similar = (await service.find_similar("Note 7: the plan is ready", "", CALLER, limit=1)).hits
            epochs = service.sources.embedder.state.epoch

    assert epochs is not None
    assert epochs.endswith("/36")
    assert [str(hit.memory.id) for hit in similar] == [ids[7]]
    assert similar[0].score > 0.999


async def test_a_server_whose_model_another_server_has_replaced_finds_by_words_and_says_so(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as former:
        stored = await remember(former, "The kite is in the boat")
        with serving(other_model) as endpoint:
            embedding = EmbeddingSettings(provider="remote", model="letters", base_url=endpoint.url)
            async with open_service(Settings(data_dir=tmp_path, embedding=embedding, recall=PATIENT)) as new:
                with anyio.fail_after(30):
                    while (await new.records.counts("local")).unembedded or not former.indexer.overtaken:
                        former.indexer.wake()
                        await anyio.sleep(0.02)
                answers = [await service.recall(RecallRequest("Where is the kite?"), CALLER) for service in (former, new)]
                models = [(await service.stats(CALLER)).model for service in (former, new)]

    assert [[str(hit.memory.id) for hit in answer.hits] for answer in answers] == [[stored]] * 2
    assert [list(answer.degraded) for answer in answers] == [[BY_ANOTHER_MODEL], []]
    assert [model.get("detail", "") for model in models] == [BY_ANOTHER_MODEL, ""]


async def test_what_is_said_twice_is_one_answer_that_names_the_other(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        ids = {
            await remember(service, "The release day is Thursday.", kind="chat", session_id="s1"),
            await remember(service, "the release day is THURSDAY", kind="chat", session_id="s2"),
        }
        await remember(service, "The release day is Friday.", kind="chat", session_id="s3")
        answer = await service.recall(RecallRequest("Which weekday is the release day?"), CALLER)

    assert len(answer.hits) == 2
    (both,) = [{str(hit.memory.id), *map(str, hit.alike)} for hit in answer.hits if hit.alike]
    assert both == ids
