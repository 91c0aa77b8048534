"""An issuer's keys over time: rotated, away, too old. A real issuer, and a clock that is set."""

import json

import pytest

from memory_mcp.errors import TierUnavailableError
from memory_mcp.server.http.keys import PublishedKeys
from tests import issuers
from tests.issuers import issuing

MINUTE, HOUR = 60.0, 3_600.0


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_new_key_is_found_and_one_that_was_taken_back_is_believed_for_an_hour_at_most() -> None:
    clock = Clock()
    with issuing() as (issuer, url):
        keys = PublishedKeys(url, clock)
        assert len(await keys.candidates("one")) == 1
        issuer.keys = {"two": issuers.key()}
        assert await keys.candidates("two") == []  # nobody is asked again so soon
        clock.now += MINUTE
        found = await keys.candidates("two")
        gone = await keys.candidates("one")
        asked = issuer.asked
        issuer.keys = {"three": issuers.key()}
        clock.now += 1.1 * HOUR
        old = await keys.candidates("two")

    assert len(found) == 1
    assert gone == []
    assert asked == 2
    assert old == []


async def test_while_the_issuer_is_away_its_keys_are_used_for_a_day_and_no_longer() -> None:
    clock = Clock()
    with issuing() as (issuer, url):
        keys = PublishedKeys(url, clock)
        await keys.candidates("one")
        issuer.away = True
        clock.now += 23 * HOUR
        still = await keys.candidates("one")
        clock.now += 2 * HOUR
        with pytest.raises(TierUnavailableError):
            await keys.candidates("one")
        issuer.away = False
        clock.now += MINUTE
        again = await keys.candidates("one")

    assert len(still) == len(again) == 1


async def test_an_issuer_that_never_answered_lets_nobody_in() -> None:
    keys = PublishedKeys("http://127.0.0.1:9/keys", Clock())

    with pytest.raises(TierUnavailableError):
        await keys.candidates("one")


async def test_keys_need_no_names_and_then_any_of_them_may_have_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    with issuing() as (issuer, url):
        issuer.keys["two"] = issuers.key()
        entries = [{**entry, "kid": None} for entry in json.loads(issuer.document())["keys"]]
        nameless = json.dumps({"keys": [{name: value for name, value in entry.items() if value} for entry in entries]}).encode()
        monkeypatch.setattr(issuer, "document", lambda: nameless)
        keys = PublishedKeys(url, Clock())

        assert len(await keys.candidates(None)) == 2
        assert len(await keys.candidates("one")) == 2


@pytest.mark.parametrize(
    "document", [b"", b"[]", b'{"keys": 7}', b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "one"}]}', b'{"keys": [{"kty": "RSA"}]}']
)
async def test_what_is_no_set_of_public_keys_is_none(document: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with issuing() as (issuer, url):
        monkeypatch.setattr(issuer, "document", lambda: document)
        with pytest.raises(TierUnavailableError):
            await PublishedKeys(url, Clock()).candidates("one")
