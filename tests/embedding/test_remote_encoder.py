import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest
from endpoint import Answer, Request, serving
from pydantic import SecretStr

from memory_mcp.embedding.remote import RUN_TEXTS, RemoteEncoder
from memory_mcp.embedding.settings import EmbeddingSettings
from memory_mcp.errors import EmbedderNotReadyError, TierError

KEY = "sk-very-secret-key"


def embeddings(texts: list[str], dimension: int = 3) -> list[dict[str, Any]]:
    """A vector per text that shows its length, in an order that is not the one asked in."""
    rows = [{"index": i, "embedding": [float(len(text)), 1.0] + [0.0] * (dimension - 2)} for i, text in enumerate(texts)]
    return rows[::-1]


def good(request: Request) -> Answer:
    return Answer(body=json.dumps({"data": embeddings(json.loads(request.body)["input"])}).encode())


def after_the_first(answer: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
    """The call by which the encoder finds the dimension goes well, and the one that checks it."""
    seen: list[Request] = []

    def respond(request: Request) -> Answer:
        seen.append(request)
        return good(request) if len(seen) <= 2 else answer(request)

    return respond


def in_turn(*answers: Answer) -> Callable[[Request], Answer]:
    """These, then good ones."""
    left = list(answers)
    return lambda request: left.pop(0) if left else good(request)


def encoder_of(url: str, model: str, **options: Any) -> RemoteEncoder:
    return RemoteEncoder(EmbeddingSettings(provider="remote", base_url=url, model=model, **options))


@contextmanager
def opened(url: str, **options: Any) -> Iterator[RemoteEncoder]:
    options = {"api_key": SecretStr(KEY), "timeout_seconds": 2.0} | options
    with closing(encoder_of(url + "/v1", "some-model", **options)) as encoder:
        yield encoder


def test_vectors_are_unit_rows_in_the_order_of_the_texts() -> None:
    texts = ["a" * (i + 1) for i in range(2 * RUN_TEXTS + 1)]
    with serving(good) as endpoint, opened(endpoint.url) as encoder:
        vectors = encoder.encode(texts)
    sent = [json.loads(request.body) for request in endpoint.requests]

    assert encoder.dimension == 3
    assert vectors.dtype == np.float32
    assert np.allclose(vectors[:, 0] / vectors[:, 1], [len(text) for text in texts], rtol=1e-5)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert {request.path for request in endpoint.requests} == {"/v1/embeddings"}
    assert {request.headers["authorization"] for request in endpoint.requests} == {f"Bearer {KEY}"}
    assert all(request["model"] == "some-model" and "dimensions" not in request for request in sent)
    assert [len(request["input"]) for request in sent[2:]] == [RUN_TEXTS, RUN_TEXTS, 1]


def test_without_a_key_none_is_sent_and_dimensions_are_asked_for() -> None:
    with serving(good) as endpoint, opened(endpoint.url, api_key=SecretStr(""), dimensions=3):
        pass

    assert "authorization" not in endpoint.requests[0].headers
    assert json.loads(endpoint.requests[0].body)["dimensions"] == 3


def test_the_epoch_tells_address_model_and_dimension_apart() -> None:
    def epoch(url: str, model: str) -> str:
        with closing(encoder_of(url, model)) as encoder:
            return encoder.epoch

    with serving(good) as one, serving(good) as other:
        epochs = {epoch(one.url, "m"), epoch(one.url + "/v1", "m"), epoch(other.url, "m"), epoch(one.url, "n")}
        again = epoch(one.url + "/", "m")

    assert len(epochs) == 4
    assert again in epochs
    assert all(epoch.endswith("/3") and "127.0.0.1" not in epoch for epoch in epochs)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with serving(in_turn(Answer(status), Answer(status, headers={"Retry-After": "0"}))) as endpoint, opened(endpoint.url) as encoder:
        assert encoder.dimension == 3
        assert len(endpoint.requests) == 4


@pytest.mark.parametrize(
    ("status", "attempts", "words"),
    [(401, 1, "api_key"), (403, 1, "api_key"), (404, 1, "base_url and model"), (302, 1, "unexpected"), (503, 3, "HTTP 503")],
)
def test_a_refusal_says_what_to_do_and_not_the_secret(status: int, attempts: int, words: str) -> None:
    body = json.dumps({"error": f"wrong key {KEY}"}).encode()
    with serving(lambda _: Answer(status, body, {"Retry-After": "0", "Location": "/elsewhere"})) as endpoint:
        with pytest.raises(EmbedderNotReadyError, match=words) as caught, opened(endpoint.url):
            pass

        assert len(endpoint.requests) == attempts
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value.__cause__)


BAD = {
    "no JSON": b"<html>",
    "no object": b"[1]",
    "no data": b"{}",
    "data of another kind": b'{"data": 1}',
    "one too few": json.dumps({"data": embeddings(["a"])}).encode(),
    "one too many": json.dumps({"data": embeddings(["a", "b", "c"])}).encode(),
    "an index twice": json.dumps({"data": [{"index": 0, "embedding": [1, 1, 1]}] * 2}).encode(),
    "another length": json.dumps({"data": embeddings(["a", "b"], dimension=4)}).encode(),
    "not a number": json.dumps({"data": [{"index": i, "embedding": [float("nan"), 1, 1]} for i in range(2)]}).encode(),
    "infinite": json.dumps({"data": [{"index": i, "embedding": [1e999, 1, 1]} for i in range(2)]}).encode(),
    "zero": json.dumps({"data": [{"index": i, "embedding": [0, 0, 0]} for i in range(2)]}).encode(),
    "words": json.dumps({"data": [{"index": i, "embedding": ["x", 1, 1]} for i in range(2)]}).encode(),
    "nothing": b"",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_an_answer_that_is_no_matrix_is_refused(body: bytes) -> None:
    bad = after_the_first(lambda _: Answer(body=body))
    with serving(bad) as endpoint, opened(endpoint.url) as encoder, pytest.raises(TierError) as caught:
        encoder.encode(["a", "b"])
    assert not isinstance(caught.value, EmbedderNotReadyError)


def test_a_server_that_hangs_is_given_up_in_time() -> None:
    released = threading.Event()
    stalling = after_the_first(lambda _: Answer(body=b"{}", stall=released))
    with serving(stalling) as endpoint, opened(endpoint.url, timeout_seconds=0.3) as encoder:
        started = time.monotonic()
        with pytest.raises(EmbedderNotReadyError, match="does not answer"):
            encoder.encode(["a"])
        elapsed = time.monotonic() - started
        released.set()

    assert elapsed < 5


def test_a_server_that_trickles_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                try:
                    for _ in range(100):
                        connection.sendall(b" ")
                        time.sleep(0.05)
                except OSError:
                    pass

        thread = threading.Thread(target=trickle)
        thread.start()
        started = time.monotonic()
        with pytest.raises(EmbedderNotReadyError, match="does not answer"):
            encoder_of(f"http://127.0.0.1:{listener.getsockname()[1]}", "m", timeout_seconds=0.4)
        elapsed = time.monotonic() - started
        thread.join()

    assert elapsed < 2


def test_a_server_that_is_not_there_is_tried_again_and_given_up() -> None:
    with serving(good) as endpoint:
        pass
    started = time.monotonic()

    with pytest.raises(EmbedderNotReadyError, match="does not answer"):
        encoder_of(endpoint.url, "m")
    assert time.monotonic() - started < 3


def test_a_text_too_long_for_the_endpoint_is_cut() -> None:
    def short_texts_only(request: Request) -> Answer:
        return good(request) if all(len(text) <= 3000 for text in json.loads(request.body)["input"]) else Answer(400)

    with serving(short_texts_only) as endpoint, opened(endpoint.url) as encoder:
        assert encoder.encode(["x" * 10_000]).shape == (1, 3)
        with pytest.raises(TierError):
            encoder.encode(["x" * 10_000, "short"])


def test_a_short_text_that_is_refused_is_not_tried_for_ever() -> None:
    with serving(after_the_first(lambda _: Answer(422))) as endpoint, opened(endpoint.url) as encoder:
        with pytest.raises(TierError):
            encoder.encode(["x" * 20_000])

        assert len(endpoint.requests) < 10
