"""The contract suite for middleware, run on ours."""

from __future__ import annotations

from collections.abc import Callable

from langchain_ragguard.middleware import RagGuardMiddleware
from langchain_ragguard.testing.middleware_suite import MiddlewareContract
from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner
from ragguard.types import Stage, Turn, Verdict
from ragguard.worker import run_on_worker


class Watched:
    """A guard that tells when it judges."""

    name, stages = "watched", frozenset({Stage.ANSWER})

    def __init__(self, judged: Callable[[], None]) -> None:
        self._judged = judged
        self._inner = ConsistencyGuard(LexicalAligner())

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        self._judged()
        return self._inner.check(turn, stage)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        return await run_on_worker(self.check, turn, stage)


class TestRagGuardMiddleware(MiddlewareContract):
    def make_middleware(self, judged: Callable[[], None]) -> RagGuardMiddleware:
        return RagGuardMiddleware(Watched(judged))
