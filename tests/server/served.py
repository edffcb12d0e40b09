"""A real server on this machine, and the guard that its tests ask."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner

RETURNS = "Goods may be returned within 30 days of delivery. Refunds are paid within 5 working days."
QUESTION = "How long do I have to return goods?"
TRUE = "Goods may be returned within 30 days of delivery."
FALSE = "Goods may be returned within 90 days of delivery."
PATH = "/beta/litellm_basic_guardrail_api"


def by_words(**options: Any) -> ConsistencyGuard:
    """Judges without a model."""
    return ConsistencyGuard(LexicalAligner(), **options)


def response(*texts: str, documents: Any = (RETURNS,), **fields: Any) -> dict[str, Any]:
    """What the gateway sends after a model has answered."""
    params = {"question": QUESTION} | ({} if documents is None else {"documents": list(documents)})
    return {
        "input_type": "response",
        "texts": list(texts),
        "request_data": {},
        "additional_provider_specific_params": params,
        **fields,
    }


def request(*messages: tuple[str, str], **fields: Any) -> dict[str, Any]:
    """What the gateway sends before the model is called."""
    rows = [{"role": role, "content": text} for role, text in messages]
    return {
        "input_type": "request",
        "texts": [text for _, text in messages],
        "structured_messages": rows,
        "request_data": {},
        **fields,
    }


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve the app from a thread; yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
