"""What has changed is answered as it is now, never as it was; what is only like it is never hidden."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from postgres_server import Databases, server

from memory_mcp.answers import RecallRequest
from memory_mcp.config import Settings
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from tests.memories import CALLER, open_service, settings_for
from tests.service.updates import UPDATES, Step

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Of a memory whose records lie in either store."""
    settings = settings_for(tmp_path)
    if request.param == "sqlite":
        yield settings
        return
    databases = Databases(tmp_path)
    yield settings.model_copy(update={"records": server().settings(databases.make())})
    databases.drop()


@dataclass
class Life:
    """A memory to which things happen.

    Attributes:
        ids: Of every text the memory that was last told it.
        now: The time there; a day passes with each step.
    """

    service: MemoryService
    ids: dict[str, str] = field(default_factory=dict)
    now: datetime = BEGIN

    def __post_init__(self) -> None:
        self.service.clock = lambda: self.now

    async def remember(self, text: str, key: str = "", replaces: tuple[str, ...] = (), when: str = "") -> int | None:
        request = RememberRequest(text, key=key, supersedes=[self.ids[other] for other in replaces], occurred_at=when)
        added = (await self.service.remember(request, CALLER)).added
        self.ids[text] = str(added.id)
        return added.operation

    async def live(self, step: Step, before: int | None = None) -> int | None:
        """Let it happen; the number of the operation. `before` is that of the history's last step."""
        self.now += DAY
        if step.undoes:
            await self.service.undo(str(before), CALLER)
            return None
        if step.forgets:
            done = (await self.service.forget([self.ids[step.forgets]], CALLER)).operation
            return done and done.number
        if step.rewrites:
            self.ids[step.text] = self.ids[step.rewrites]
            return (await self.service.update(self.ids[step.rewrites], CALLER, content=step.text)).operation.number
        return await self.remember(step.text, step.key, tuple(step.replaces), step.when)

    async def answers(self, question: str, as_of: datetime | None = None) -> list[str]:
        request = RecallRequest(question, as_of="" if as_of is None else as_of.isoformat())
        return [hit.memory.content for hit in (await self.service.recall(request, CALLER)).hits]

    async def everything(self) -> list[str]:
        answer = await self.service.recall(RecallRequest(limit=100), CALLER)
        return [hit.memory.content for hit in answer.hits]


async def test_no_answer_is_stale_and_nothing_alike_is_hidden(settings: Settings) -> None:
    """All histories in one namespace, their steps one after the other in turn, everything asked after each."""
    asked = stale = 0
    async with open_service(settings) as service:
        life, last = Life(service), dict[str, int | None]()
        for update in UPDATES:
            for text, _ in update.beside:
                await life.remember(text)
        for turn in range(max(len(update.steps) for update in UPDATES)):
            for update in UPDATES:
                if turn < len(update.steps):
                    last[update.name] = await life.live(update.steps[turn], last.get(update.name))
                    for question, _ in update.questions:
                        await life.answers(question)  # so that something is cached of before
        everything = await life.everything()
        for update in UPDATES:
            current = {text for _, text in update.questions} | {text for text, _ in update.beside} | {"port 8080"}
            former = {step.text for step in update.steps} - current
            for question, text in update.questions:
                found = await life.answers(question)
                near = [hit.memory.content for hit in (await service.find_similar(question, "", CALLER, limit=20)).hits]
                about = [hit.memory.content for hits in (await service.context(question, CALLER)).values() for hit in hits]
                asked += 3
                stale += sum(bool(former.intersection(told)) for told in (found, near, about))

                assert not text or found[0] == text, (update.name, found)
                assert not former.intersection(everything), update.name
            for text, question in update.beside:
                assert text in await life.answers(question), (update.name, text)
        assert everything.count("port 8080") == 1

    assert asked >= 50
    assert stale / asked == 0


async def test_what_was_true_then_is_found_by_its_time_and_by_history_alone(settings: Settings) -> None:
    async with open_service(settings) as service:
        life = Life(service)
        for city in ("Oslo", "Rome", "Oslo"):
            await life.live(Step(f"Ines lives in {city}", "ines.home"))
            first = life.ids.setdefault("first", life.ids[f"Ines lives in {city}"])
        ((_, history),) = await service.get([life.ids["Ines lives in Oslo"]], CALLER, history=True)
        ((oldest, past),) = await service.get([first], CALLER, history=True)
        moments = [BEGIN + days * DAY for days in (0.5, 1.5, 2.5, 3.5)]
        then = [await life.answers("Where does Ines live?", moment) for moment in moments]
        now = await life.answers("Where does Ines live?")

    assert then == [[], ["Ines lives in Oslo"], ["Ines lives in Rome"], ["Ines lives in Oslo"]]
    assert now == ["Ines lives in Oslo"]
    assert [version.memory.content for version in history] == ["Ines lives in Oslo", "Ines lives in Rome"]
    assert (str(oldest.superseded_by), len(past)) == (life.ids["Ines lives in Rome"], 1)


KINDS = ("fact", "event", "chat", "decision", "insight", "context", "rule", "procedure", "error")


async def test_every_kind_has_a_past(settings: Settings) -> None:
    async with open_service(settings) as service:
        for n, kind in enumerate(KINDS):
            service.clock = at(BEGIN)
            old = await service.remember(RememberRequest(f"Statement {n} as it was", kind=kind), CALLER)
            service.clock = at(BEGIN + 2 * DAY)
            await service.remember(RememberRequest(f"Statement {n} as it is", kind=kind, supersedes=[str(old.added.id)]), CALLER)
        told = {}
        for kind in KINDS:
            for days in (1, 3):
                request = RecallRequest("statement", kinds=[kind], as_of=(BEGIN + days * DAY).isoformat())
                told[kind, days] = [hit.memory.content for hit in (await service.recall(request, CALLER)).hits]

    assert told == {
        (kind, days): [f"Statement {n} as it {'was' if days == 1 else 'is'}"] for n, kind in enumerate(KINDS) for days in (1, 3)
    }


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


async def test_what_contradicts_is_named_in_the_receipt_and_left_as_it_is(settings: Settings) -> None:
    async with open_service(settings) as service:
        first = await service.remember(RememberRequest("The heating is set to 19 degrees"), CALLER)
        second = await service.remember(RememberRequest("The heating is set to 22 degrees"), CALLER)
        found = [hit.memory.id for hit in (await service.recall(RecallRequest("What is the heating set to?"), CALLER)).hits]

    assert [hit.memory.id for hit in second.similar] == [first.added.id]
    assert set(found) == {first.added.id, second.added.id}


async def test_what_changes_a_fact_names_it_in_other_words_too_and_turns_of_a_chat_name_only_what_is_nearly_the_same(
    settings: Settings,
) -> None:
    async with open_service(settings) as service:
        old = await service.remember(RememberRequest("The API uses REST."), CALLER)
        await service.remember(RememberRequest("The office is in Leipzig, near the main station."), CALLER)
        said = await service.remember(RememberRequest("The API was switched to GraphQL.", kind="chat"), CALLER)
        stated = await service.remember(RememberRequest("The API was switched to GraphQL."), CALLER)

    assert said.similar == []
    assert {hit.memory.id for hit in stated.similar} == {old.added.id, said.added.id}


async def test_as_of_a_day_answers_with_what_was_so_by_its_end_and_of_today_with_what_is_so_now(settings: Settings) -> None:
    async with open_service(settings) as service:
        for hour, lead in ((8, "Ann"), (15, "Bob"), (33, "Cy")):
            service.clock = at(BEGIN.replace(hour=0) + timedelta(hours=hour))
            await service.remember(RememberRequest(f"{lead} leads the team", key="lead"), CALLER)
        service.clock = at(BEGIN.replace(hour=10) + DAY)
        await service.remember(RememberRequest("Dee leads the team", key="lead", occurred_at=f"{BEGIN + DAY:%Y-%m-%d}T20:00"), CALLER)
        told = {}
        for days in (-1, 0, 1, 2):
            answer = await service.recall(RecallRequest("Who leads the team?", as_of=f"{BEGIN + days * DAY:%Y-%m-%d}"), CALLER)
            told[days] = [hit.memory.content.split()[0] for hit in answer.hits]

    assert told == {-1: [], 0: ["Bob"], 1: ["Cy"], 2: ["Dee"]}


async def test_a_statement_of_limited_time_is_true_within_it(settings: Settings) -> None:
    """Since when is `occurred_at`, until when `expires_in`, as a duration or a date."""
    async with open_service(settings) as service:
        service.clock = at(BEGIN)
        guest = RememberRequest("Mira stays in the guest room", occurred_at="2026-05-20", expires_in="2026-06-11")
        await service.remember(guest, CALLER)
        told = {}
        for day in ("2026-05-19", "2026-05-21", "2026-06-10", "2026-06-12"):
            request = RecallRequest("Who stays in the guest room?", as_of=day)
            told[day] = len((await service.recall(request, CALLER)).hits)
        service.clock = at(BEGIN + 20 * DAY)

        assert told == {"2026-05-19": 0, "2026-05-21": 1, "2026-06-10": 1, "2026-06-12": 0}
        assert not (await service.recall(RecallRequest("Who stays in the guest room?"), CALLER)).hits
