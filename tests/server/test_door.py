from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard import ConsistencyGuard
from ragguard.errors import InvalidValueError
from ragguard.server import Limits, create_guardrail_app
from tests.server.served import FALSE, PATH, TRUE, by_words, response, serving

KEY = "a key of the operator's"


@pytest.fixture(scope="module")
def address() -> Any:
    app = create_guardrail_app([by_words()], api_key=KEY, limits=Limits(body_bytes=20_000, texts=4))
    with serving(app) as found:
        yield found


@pytest.fixture(scope="module")
def http(address: str) -> Any:
    with httpx.Client(base_url=address, headers={"x-api-key": KEY}) as client:
        yield client


def test_a_real_server_judges(http: httpx.Client) -> None:
    assert http.post(PATH, json=response(TRUE)).json()["action"] == "NONE"
    assert http.post(PATH, json=response(FALSE)).json()["action"] == "BLOCKED"


@pytest.mark.parametrize("key", ["", "a key", KEY + "x", "\u00fc"])
def test_a_wrong_key_is_turned_away_before_the_body_is_read(address: str, key: str) -> None:
    headers = {"x-api-key": key.encode()}
    reply = httpx.post(address + PATH, content=b"x" * 100_000, headers=headers)
    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == "unauthorized"


def test_no_key_is_a_wrong_key(address: str) -> None:
    assert httpx.post(address + PATH, json=response(TRUE)).status_code == 401


def test_a_body_that_is_declared_or_found_too_large_is_refused(http: httpx.Client) -> None:
    declared = http.post(PATH, content=b"x" * 20_001)
    found = http.post(PATH, content=iter([b"x" * 15_000, b"x" * 15_000]))
    assert (declared.status_code, found.status_code) == (413, 413)
    assert declared.json()["error"]["code"] == "too_large"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"input_type": "response", "texts": ["\\ud800"]}', 400),
        (b"[" * 5_000, 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"texts": []}', 422),
        (b'{"input_type": "answer"}', 422),
        (b'{"input_type": "response", "texts": "one"}', 422),
        (b'{"input_type": "response", "texts": [1]}', 422),
        (b'{"input_type": "response", "texts": ["a","a","a","a","a"]}', 422),
        (b'{"input_type": "request", "structured_messages": [1]}', 422),
        (b'{"input_type": "response", "additional_provider_specific_params": {"documents": 1}}', 422),
        (
            b'{"input_type": "response", "additional_provider_specific_params": {"documents": [{"id": 1}]}}',
            422,
        ),
        (b'{"input_type": "response", "additional_provider_specific_params": {"question": []}}', 422),
    ],
)
def test_what_is_malformed_gets_a_typed_error(http: httpx.Client, body: bytes, status: int) -> None:
    reply = http.post(PATH, content=body)
    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"code", "message"}


def test_an_error_names_fields_and_quotes_nothing(http: httpx.Client) -> None:
    body = {"input_type": "response", "texts": [{"zyzzogeton": "zyzzogeton"}], "request_data": "zyzzogeton"}
    reply = http.post(PATH, json=body)
    assert reply.json()["error"]["message"].endswith("request_data, texts")
    assert "zyzzogeton" not in reply.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {"input_type": st.sampled_from(["request", "response"]) | JSON},
    optional={
        "texts": st.lists(st.text(), max_size=4) | JSON,
        "structured_messages": JSON
        | st.lists(st.fixed_dictionaries({"role": st.text() | JSON, "content": JSON}), max_size=3),
        "tool_calls": JSON,
        "litellm_call_id": st.text() | JSON,
        "request_data": JSON,
        "additional_provider_specific_params": JSON
        | st.fixed_dictionaries({}, optional={"documents": JSON | st.lists(st.text()), "question": JSON}),
    },
)


@settings(max_examples=40, deadline=None)
@given(body=JSON | FIELDS | st.binary(max_size=200))
def test_whatever_comes_is_answered_in_one_of_two_shapes(http: httpx.Client, body: Any) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = http.post(PATH, content=content)
    found = reply.json()
    if reply.status_code == 200:
        assert found["action"] in {"NONE", "BLOCKED", "GUARDRAIL_INTERVENED"}
    else:
        assert reply.status_code in {400, 413, 422}
        assert set(found["error"]) == {"code", "message"}
    assert found["request_id"] == reply.headers["x-request-id"]


def test_an_answer_is_never_passed_for_being_odd(http: httpx.Client) -> None:
    odd = [FALSE + "\u0000", "\u202e" + FALSE, FALSE + "\ufeff", FALSE.replace(" ", "\u00a0")]
    assert {http.post(PATH, json=response(text)).json()["action"] for text in odd} == {"BLOCKED"}


def test_the_requests_id_is_given_back_and_one_unfit_for_a_log_is_not(http: httpx.Client) -> None:
    own = http.post(PATH, json=response(TRUE), headers={"x-request-id": "r-1"})
    call = http.post(PATH, json=response(TRUE, litellm_call_id="c-1"))
    evil = http.post(PATH, json=response(TRUE, litellm_call_id="c\nINFO all is well"))
    assert own.headers["x-request-id"] == own.json()["request_id"] == "r-1"
    assert call.headers["x-request-id"] == call.json()["request_id"] == "c-1"
    assert len(evil.json()["request_id"]) == 32


def test_the_app_tells_strangers_only_that_it_lives(address: str) -> None:
    assert httpx.get(address + "/healthz").json() == {"status": "ok"}
    assert {httpx.get(address + p).status_code for p in ("/docs", "/openapi.json", "/")} == {404}
    assert httpx.get(address + PATH).status_code == 405


class Waits:
    """An aligner that says when it has been asked, and fails when it is let go."""

    default_threshold = 0.5

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()

    def align(self, claims: Any, passages: Any, /, *, question: str = "") -> Any:
        self.asked.set()
        self.go.wait(20)
        raise RuntimeError

    def fingerprint(self) -> Any:
        return {}


async def test_above_its_limit_the_app_says_when_to_come_again_and_recovers() -> None:
    aligner = Waits()
    app = create_guardrail_app([ConsistencyGuard(aligner)], api_key=None, limits=Limits(at_once=1))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://guard") as http:
        first = asyncio.create_task(http.post(PATH, json=response(TRUE)))
        assert await asyncio.to_thread(aligner.asked.wait, 20)
        busy = await http.post(PATH, json=response(TRUE))
        aligner.go.set()
        assert (await first).json()["action"] == "BLOCKED"
        later = await http.post(PATH, json=response(TRUE))
    assert busy.status_code == 503
    assert busy.headers["retry-after"] == "1"
    assert busy.json()["error"]["code"] == "overloaded"
    assert later.status_code == 200


def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    app = create_guardrail_app([by_words()], api_key=None, limits=Limits(read_seconds=0.05))
    with serving(app) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as line:
            line.sendall(f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{{".encode())
            assert b" 408 " in line.recv(100)


def test_a_client_that_leaves_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app = create_guardrail_app([by_words()], api_key=None)
    with serving(app) as address, caplog.at_level(logging.WARNING):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as line:
            line.sendall(f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{{".encode())
        assert httpx.post(address + PATH, json=response(TRUE)).json()["action"] == "NONE"
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("name", ["body_bytes", "texts", "at_once", "read_seconds"])
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(InvalidValueError, match=name):
        Limits(**{name: 0})
