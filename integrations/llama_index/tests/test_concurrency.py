"""Many queries at once: nothing of the guard on the event loop's thread, and each answer with its own evidence."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.response.schema import StreamingResponse
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle

from llama_index_ragguard import (
    ConformalNodePostprocessor,
    OffLoopRetriever,
    RagGuardFaithfulnessEvaluator,
    RagGuardQueryEngine,
)
from llama_index_ragguard.testing import ScriptedLLM
from ragguard import Report, Stage
from ragguard.testing import ScriptedGuard
from ragguard.worker import run_on_worker

from .conftest import ASKED, FACTS, METALS, TRUE, FixedRetriever, by_words
from .test_query_engine import Answering
from .test_streaming import EVIDENCE


class Threads:
    """A guard of every stage that notes on which threads it ran."""

    name = "threads"
    stages = frozenset({Stage.QUESTION, Stage.PASSAGES, Stage.ANSWER})

    def __init__(self) -> None:
        self._inner = ScriptedGuard(*self.stages)

    @property
    def seen(self) -> set[int]:
        return self._inner.threads

    def check(self, turn: Any, stage: Stage, /) -> Any:
        return self._inner.check(turn, stage).model_copy(update={"guard": self.name})

    async def acheck(self, turn: Any, stage: Stage, /) -> Any:
        return await run_on_worker(self.check, turn, stage)

    def fingerprint(self) -> dict[str, Any]:
        return {"name": self.name}


@pytest.mark.parametrize(("streaming", "mode"), [(False, "withhold"), (True, "withhold"), (True, "sentence")])
async def test_no_guard_runs_on_the_event_loops_thread(
    index: VectorStoreIndex, questions: list[dict[str, Any]], streaming: bool, mode: Any
) -> None:
    threads = Threads()
    cut = ConformalNodePostprocessor.calibrate(
        index, questions, similarity_top_k=10, alpha=0.3, guards=[threads, by_words()]
    )
    threads.seen.clear()
    inner = index.as_query_engine(
        llm=ScriptedLLM(answers=[TRUE]), similarity_top_k=10, node_postprocessors=[cut], streaming=streaming
    )
    engine = RagGuardQueryEngine(inner, guard=cut.guard, mode=mode)
    for response in await asyncio.gather(*(engine.aquery(ASKED) for _ in range(8))):
        text = await response._async_str() if streaming else str(response)
        assert text == TRUE
    await RagGuardFaithfulnessEvaluator([threads]).aevaluate(ASKED, TRUE, [TRUE])
    assert threads.seen
    assert threading.get_ident() not in threads.seen


async def test_a_synchronous_stream_is_read_off_the_event_loop() -> None:
    seen: set[int] = set()

    def pieces() -> Iterator[str]:
        for piece in (TRUE, " ", TRUE):
            seen.add(threading.get_ident())
            yield piece

    for mode in ("withhold", "sentence"):
        inner = Answering(StreamingResponse(pieces(), list(EVIDENCE), {}))
        response = await RagGuardQueryEngine(inner, guard=by_words(), mode=mode).aquery(ASKED)
        assert await response._async_str() == f"{TRUE} {TRUE}"
    assert seen
    assert threading.get_ident() not in seen


class NotingRetriever(FixedRetriever):
    def __init__(self, nodes: list[NodeWithScore]) -> None:
        super().__init__(nodes)
        self.threads: set[int] = set()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self.threads.add(threading.get_ident())
        return super()._retrieve(query_bundle)


async def test_a_retriever_without_its_own_asynchronous_search_is_kept_off_the_event_loop() -> None:
    base = NotingRetriever([])
    await base.aretrieve(ASKED)
    assert base.threads == {threading.get_ident()}, "upstream no longer retrieves on the event loop"
    base.threads.clear()
    inner = RetrieverQueryEngine.from_args(OffLoopRetriever(base), llm=ScriptedLLM(answers=[TRUE]))
    await RagGuardQueryEngine(inner, guard=by_words()).aquery(ASKED)
    assert base.threads
    assert threading.get_ident() not in base.threads


async def test_the_cuts_own_retrieval_is_off_the_event_loop(cut: ConformalNodePostprocessor) -> None:
    base = NotingRetriever(cut.retriever.retrieve(ASKED))
    own = ConformalNodePostprocessor.calibrate(
        base,
        [{"id": f"q{i}", "question": f"q {i}", "relevant": ["nickel-hardness"]} for i in range(20)],
        probe=False,
    )
    base.threads.clear()
    await own.areport(ASKED)
    await own.guard.acheck(Report.model_validate((await own.areport(ASKED)).model_dump()).turn)
    assert threading.get_ident() not in base.threads


async def test_queries_at_the_same_time_keep_their_own_evidence(
    index: VectorStoreIndex, cut: ConformalNodePostprocessor
) -> None:
    def from_question(prompt: str) -> str:
        asked = prompt.rsplit("Query: ", 1)[1].split("?")[0].split()
        return f"The {asked[3]} of {asked[5]} is listed in table {asked[5]} {asked[3]}."

    slow = ScriptedGuard(Stage.ANSWER, seconds=0.002, name="slow")
    inner = index.as_query_engine(
        llm=ScriptedLLM(answers=[from_question]),
        similarity_top_k=10,
        node_postprocessors=[cut],
        streaming=True,
    )
    pipeline = cut.guard.pipeline
    engine = RagGuardQueryEngine(inner, guard=[*pipeline.steps, slow])
    pairs = [(metal, fact) for metal in METALS for fact in FACTS][:30]

    async def asked(metal: str, fact: str) -> tuple[str, Report]:
        response = await engine.aquery(f"What is the {fact} of {metal}?")
        return await response._async_str(), Report.model_validate(response.metadata["ragguard"])

    alone = [str(engine.query(f"What is the {fact} of {metal}?")) for metal, fact in pairs]
    found = await asyncio.gather(*(asked(metal, fact) for metal, fact in pairs))
    assert [text for text, _ in found] == alone
    for (metal, fact), (text, report) in zip(pairs, found, strict=True):
        assert report.turn.question == f"What is the {fact} of {metal}?"
        assert report.certificate().status == "valid"  # type: ignore[union-attr]
        if report.released:
            assert text == f"The {fact} of {metal} is listed in table {metal} {fact}."
            assert report.passages[0].id == f"{metal}-{fact}"
    assert sum(report.released for _, report in found) > 20
