"""The door of an app: who may come in, how much they may bring, how many at once, how long they may take.

What goes wrong behind it becomes a reply of fixed shape, `{"error": {"code",
"message"}}`, that quotes nothing of the request; so does every line of the log.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ragguard.errors import ConfigurationError, InvalidValueError, MissingDependencyError, RagGuardError

try:
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse
    from starlette.requests import ClientDisconnect
except ImportError as error:
    raise MissingDependencyError("fastapi is not installed", hint='pip install "ragguard[server]"') from error

REQUEST_ID = "x-request-id"
_LOG = logging.getLogger("ragguard.server")
_FIT_FOR_A_LOG = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_RETRY_AFTER = "1"

Work = Callable[[bytes], Awaitable[dict[str, Any]]]
"""A body in, a JSON reply out."""


@dataclass(frozen=True)
class Limits:
    """What one app takes on.

    Attributes:
        body_bytes: of a request's body; one that is longer is refused unread.
        texts: of one answer request, the number of choices a model was asked for.
        at_once: requests in work; those above are told to come again.
        read_seconds: for a body to arrive.

    Raises:
        InvalidValueError: one of them is not more than 0.
    """

    body_bytes: int = 1_048_576
    texts: int = 16
    at_once: int = 64
    read_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise InvalidValueError(f"{name} must be more than 0, got {value}")


class Turned(Exception):
    """A request that is answered with an error: status, code and message, none of it the client's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Door:
    """Lets requests in one by one; give each to `admit`.

    Args:
        api_key: what `x-api-key` must say; None lets everybody in.
        limits: see there.

    Raises:
        ConfigurationError: the key is empty, as an unset variable would make it.
    """

    def __init__(self, api_key: str | None, limits: Limits) -> None:
        if api_key is not None and not api_key.strip():
            raise ConfigurationError("the API key is empty", hint="api_key=None serves without one")
        self._key = None if api_key is None else _digest(api_key)
        self.limits = limits
        self._taken = 0
        self._counting = threading.Lock()

    async def admit(self, request: Request, work: Work) -> JSONResponse:
        """Answer a request with what `work` makes of its body, or with an error of fixed shape.

        The reply bears the request's own id, or the one that the work found in its body.
        """
        own = request.headers.get(REQUEST_ID)
        try:
            reply = await self.enter(request, work)
        except Turned as no:
            return _refused(no, request_id(own))
        name = request_id(own, reply.get("request_id"))
        return JSONResponse({**reply, "request_id": name}, headers={REQUEST_ID: name})

    async def enter(self, request: Request, work: Work) -> dict[str, Any]:
        """Return what `work` makes of the body.

        Raises:
            Turned: the request is not let in, or the work failed.
        """
        self._require_key(request)
        with self._place():
            return await _finished(work, await self._body(request))

    def _require_key(self, request: Request) -> None:
        # Digests, so that neither the length nor the beginning of the key shows in the time taken.
        given = _digest(request.headers.get("x-api-key", ""))
        if self._key is not None and not hmac.compare_digest(given, self._key):
            raise Turned(401, "unauthorized", "x-api-key is missing or wrong")

    @contextmanager
    def _place(self) -> Iterator[None]:
        with self._counting:
            if self._taken >= self.limits.at_once:
                raise Turned(503, "overloaded", f"{self.limits.at_once} requests are in work; try again")
            self._taken += 1
        try:
            yield
        finally:
            with self._counting:
                self._taken -= 1

    async def _body(self, request: Request) -> bytes:
        limit = self.limits.body_bytes
        declared = request.headers.get("content-length", "")
        too_large = Turned(413, "too_large", f"the body is longer than {limit} bytes")
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit):
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.read_seconds):
                async for piece in request.stream():
                    body += piece
                    if len(body) > limit:
                        raise too_large
        except ClientDisconnect:
            raise Turned(400, "disconnected", "the client left before its body had arrived") from None
        except TimeoutError:
            seconds = self.limits.read_seconds
            raise Turned(408, "too_slow", f"the body did not arrive within {seconds:g} seconds") from None
        return bytes(body)


def bare_app(title: str) -> FastAPI:
    """Return an app that documents nothing of itself to strangers and answers /healthz."""
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)

    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    app.add_api_route("/healthz", healthz)
    return app


def request_id(*given: object) -> str:
    """Return the first of these that may stand in a log, or a new one."""
    for name in given:
        if isinstance(name, str) and _FIT_FOR_A_LOG.fullmatch(name):
            return name
    return uuid.uuid4().hex


async def _finished(work: Work, body: bytes) -> dict[str, Any]:
    """Return what the work returns; of what it raises only type and code are told or logged.

    As a task, so that an exception whose message may hold the user's text never reaches
    the server's own log.
    """
    task = asyncio.ensure_future(work(body))
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        raise
    # Cancelled from within, by a client's timeout in a guard for instance: nobody else gave the turn up.
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if error is None:
        return task.result()
    if isinstance(error, Turned):
        raise error
    code = error.code if isinstance(error, RagGuardError) else "unexpected"
    _LOG.error("a request failed: %s (%s)", code, type(error).__name__)
    raise Turned(500, code, "the request could not be judged") from None


def _refused(no: Turned, name: str) -> JSONResponse:
    _LOG.warning("request %s refused: %s %s", name, no.status, no.code)
    headers = {REQUEST_ID: name}
    if no.status == 503:
        headers["retry-after"] = _RETRY_AFTER
    error = {"code": no.code, "message": no.message}
    return JSONResponse({"error": error, "request_id": name}, status_code=no.status, headers=headers)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
