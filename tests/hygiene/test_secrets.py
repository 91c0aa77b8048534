"""What is taken for a secret, and what is not."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.hygiene.issued import ISSUED, Shape
from memory_mcp.hygiene.passwords import TELLING, Telling
from memory_mcp.hygiene.secrets import found, redacted
from tests.hygiene.ordinary_texts import LOOKS_HIDDEN, LOOKS_LIKE_A_SECRET, LOOKS_LIKE_AN_ORDER
from tests.hygiene.secret_shapes import AROUND, ASSIGNMENTS, BASE64, TOKENS, URLS, drawing

SHAPES = {**TOKENS, **ASSIGNMENTS, **URLS}
ORDINARY = [*LOOKS_LIKE_A_SECRET, *LOOKS_LIKE_AN_ORDER, *LOOKS_HIDDEN]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("around", AROUND)
def test_secrets_are_found_wherever_they_stand_and_nothing_is_left_of_them(shape: str, around: str) -> None:
    for seed in range(5):
        text = around.format(SHAPES[shape](drawing(seed)))
        secrets = found(text)

        assert secrets
        clean = redacted(text, secrets)
        assert found(clean) == []
        for secret in secrets:
            assert text[secret.start : secret.end] not in clean
            assert f"[redacted: {secret.kind}]" in clean
            assert secret.kind.startswith(("a ", "an "))


@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_was_drawn_at_length_is_gone_once_redacted(shape: str) -> None:
    draw, drawn = drawing(7), []

    def drawing_and_noting(alphabet: str, length: int) -> str:
        drawn.append(draw(alphabet, length))
        return drawn[-1]

    text = SHAPES[shape](drawing_and_noting)
    clean = redacted(text, found(text))

    assert any(len(part) >= 4 for part in drawn)
    assert [part for part in drawn if len(part) > 20 and part[-12:] in clean] == []


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_texts_hold_none(text: str) -> None:
    assert [text[secret.start : secret.end] for secret in found(text)] == []


@given(st.text(max_size=200), st.sampled_from(sorted(SHAPES)), st.integers(0, 2**32), st.text(max_size=200))
def test_secrets_stand_in_order_apart_and_within_the_text(before: str, shape: str, seed: int, after: str) -> None:
    text = f"{before}\n{SHAPES[shape](drawing(seed))}\n{after}"
    secrets = found(text)
    ends = [0, *(place for secret in secrets for place in (secret.start, secret.end)), len(text)]

    assert secrets
    assert ends == sorted(ends)
    assert all(secret.start < secret.end for secret in secrets)


@given(st.text())
def test_any_text_can_be_looked_through(text: str) -> None:
    secrets = found(text)

    assert (redacted(text, secrets) == text) == (not secrets)


@pytest.mark.parametrize("at", [0, 39_990, 65_500, 79_999, 130_000])
def test_in_a_long_text_they_are_found_at_every_place(at: int) -> None:
    token, key = TOKENS["github"](drawing(1)), TOKENS["rsa key"](drawing(2))
    text = "word " * (at // 5) + f"{token} " + "word " * 3_000 + f"\n{key}\n" + "word " * 20_000

    assert [secret.kind for secret in found(text)] == ["a GitHub token", "a private key"]


def test_wherever_a_pattern_matches_one_of_its_marks_stands() -> None:
    """Else looking for the marks first would miss something."""
    texts = [around.format(draw(drawing(3))) for draw in SHAPES.values() for around in AROUND]
    missed = [(rule.pattern, text) for rule in ISSUED for text in texts if re.search(rule.pattern, text) and not marked(rule, text)]
    missed += [
        (rule.pattern, text) for rule in TELLING for text in texts if re.search(rule.pattern, text, re.I) and not marked(rule, text.lower())
    ]

    assert missed == []


def marked(rule: Shape | Telling, text: str) -> bool:
    return any(mark in text for mark in rule.marks)


HOSTILE = {
    "letters": "a" * 200_000,
    "names": "password: " * 20_000,
    "schemes": "a://:" * 40_000,
    "keys begun": "-----BEGIN PRIVATE KEY-----" * 7_400,
    "key without end": "-----BEGIN PRIVATE KEY-----" + "A" * 200_000,
    "tokens begun": "eyJ" * 66_000,
    "amazon": "aws secret key " * 13_000,
    "phrases": "token of a " * 18_000,
    "options": "--a-password " * 15_000,
    "every mark": "".join(mark for rule in ISSUED for mark in rule.marks) * 400,
    "base64": "aws " + drawing(1)(BASE64, 200_000),
    "spaces": "password" + " " * 200_000,
    "broken lines": "-----BEGIN RSA PRIVATE KEY-----" + "\\n" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_takes_long_to_look_through(name: str) -> None:
    """Measured: at most 0.3 s; what grows with the square of the length would take minutes."""
    started = time.process_time()
    found(HOSTILE[name])

    assert time.process_time() - started < 5
