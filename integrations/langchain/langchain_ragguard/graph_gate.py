"""The gate behind a graph's retrieval: keeps what the calibrated cut keeps, and goes elsewhere with nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langgraph.graph import END
from langgraph.types import Command

from langchain_ragguard.documents import FACTS, as_passage, passage_id, with_facts
from langchain_ragguard.graph_node import Node
from langchain_ragguard.graph_state import Keys, as_given, documents_in, question_in, shown
from langchain_ragguard.scores import STORE, FromMetadata
from ragguard.adapting import as_pipeline
from ragguard.conformal.kept import certificate_facts
from ragguard.errors import DuplicateIdError
from ragguard.types import Passage, Reason, Report, Stage, Turn
from ragguard.withheld import shown_report, small_report
from ragguard.worker import run_on_worker


def retrieval_gate_node(
    guard: Any,
    *,
    ok: str = "generate",
    empty: str = END,
    keys: Keys | None = None,
    score_key: str | None = None,
    higher_is_better: bool = True,
    id_key: str | None = None,
    group: str | None = None,
) -> Node:
    """Return a node that puts the documents of the state through the guards that judge passages.

    What is kept replaces the documents, each with its facts under metadata["ragguard"]; the
    report is written beside them, with which `verify_node` lets the retrieval promise stay
    with the answer. Where nothing is kept, the guard's message is written as the answer.

    Documents without any score, and those that a `GuardedRetriever` has cut before, are
    not cut again: other guards see them, and nothing is promised of them here.

    Args:
        guard: the guard of a calibrated retriever (`retriever.guard`), a `Pipeline`, or guards
            in order; one must judge passages. A guard that judges answers is not asked.
        ok: the node to go to with something kept.
        empty: the node to go to with nothing kept.
        keys: of the state.
        score_key: metadata key of the scores; by default the one that
            `ScoredVectorStoreRetriever` writes. If given, every document must have one.
        higher_is_better: of the scores; False for distances.
        id_key: metadata key that names a document, as for `GuardedRetriever`.
        group: the Mondrian group of every question here.

    Raises:
        ConfigurationError: no guard judges passages.
    """
    pipeline, keys = as_pipeline(guard, Stage.PASSAGES), keys or Keys()
    scoring = FromMetadata((score_key,) if score_key is not None else STORE, higher_is_better)

    def asked(state: Any) -> tuple[list[Document], Turn]:
        documents, question = documents_in(state, keys) or [], question_in(state, keys)
        scores: Sequence[float | None] = [None] * len(documents)
        names = [passage_id(d, id_key=id_key) for d in documents]
        if score_key is not None or (any(map(_scored, documents)) and not all(map(_cut, documents))):
            sign = 1.0 if higher_is_better else -1.0
            scores = [sign * score for score in scoring(question, documents, names)]
        metadata = {} if group is None else {"group": group}
        return documents, Turn(
            question=question, passages=_passages(documents, names, scores), metadata=metadata
        )

    def told(state: Any, documents: Sequence[Document], report: Report) -> Command[Any]:
        by_name = {passage_id(d, id_key=id_key): d for d in reversed(documents)}
        facts = {"kept": True, "certificate": certificate_facts(report)}
        kept = [
            with_facts(by_name[p.id], {**_facts(by_name[p.id]), **facts}, text=p.text)
            for p in (report.passages if report.released else ())
            if p.id in by_name
        ]
        update = {keys.documents: as_given(kept, state, keys), keys.report: shown_report(report)}
        if kept:
            return Command(goto=ok, update=update)
        text = report.text or Reason.NO_EVIDENCE.sentence
        facts = {"judged": True, **small_report(report), "released": False}
        return Command(goto=empty, update={**update, **shown(AIMessage(text), text, facts, keys)})

    def gate(state: Any) -> Command[Any]:
        documents, turn = asked(state)
        return told(state, documents, pipeline.check(turn))

    async def agate(state: Any) -> Command[Any]:
        documents, turn = await run_on_worker(asked, state)
        report = await pipeline.acheck(turn)
        return await run_on_worker(told, state, documents, report)

    return Node(gate, agate, name="ragguard.retrieval_gate", goes=(ok, empty))


def _passages(
    documents: Sequence[Document], names: Sequence[str], scores: Sequence[float | None]
) -> tuple[Passage, ...]:
    found: dict[str, Passage] = {}
    for document, name, score in zip(documents, names, scores, strict=True):
        passage = found.setdefault(name, as_passage(document, name=name, score=score))
        if passage.text != document.page_content:
            raise DuplicateIdError(
                f"two documents of different text share the id {name!r}", hint="give each part its own id"
            )
    return tuple(found.values())


def _facts(document: Document) -> dict[str, Any]:
    found = document.metadata.get(FACTS)
    return dict(found) if isinstance(found, dict) else {}


def _cut(document: Document) -> bool:
    return "kept" in _facts(document)


def _scored(document: Document) -> bool:
    return STORE[1] in _facts(document)
