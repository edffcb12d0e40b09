"""The cut inside an agent: documents that a tool found and nobody has cut yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain.agents.middleware import ToolCallRequest
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage

from langchain_ragguard.documents import FACTS, as_passage, passage_id, with_facts
from langchain_ragguard.middleware_evidence import counts, documents_of, evidence_in, query_of, report_of
from langchain_ragguard.middleware_policy import RagGuardContext
from langchain_ragguard.scores import STORE, FromMetadata
from langchain_ragguard.tools import carried, texts_of
from ragguard.conformal.kept import certificate_facts
from ragguard.errors import DuplicateIdError
from ragguard.pipeline import Pipeline
from ragguard.types import Mode, Passage, Report, Stage, Turn


class RetrievalGate:
    """Puts a tool's documents through the guards that judge passages.

    Args:
        pipeline: of the middleware.
        tools: names of those that retrieve; None for all that return documents.
        score_key: metadata key of the scores; None for the place where a
            `ScoredVectorStoreRetriever` writes them. Documents without any there are
            taken as passages, and nothing is promised of them.
        higher_is_better: of the scores at `score_key`.
        format_documents: what the model reads.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        tools: Sequence[str] | None,
        *,
        score_key: str | None = None,
        higher_is_better: bool = True,
        format_documents: Callable[[Sequence[Document]], str] | None = None,
    ) -> None:
        self._judges = any(
            Stage.PASSAGES in s.guard.stages and s.mode is not Mode.OFF for s in pipeline.steps
        )
        self._tools = tools
        self._required = score_key is not None
        self._scoring = FromMetadata((score_key,) if score_key is not None else STORE, higher_is_better)
        self._texts = format_documents or texts_of

    def turn(self, request: ToolCallRequest, result: Any, settings: RagGuardContext) -> Turn | None:
        """The retrieval to judge, or None where the result passes as it is.

        Raises:
            InvalidScoreError: a document has no score at the key given.
            DuplicateIdError: two documents of different text have one id.
        """
        documents = self._uncut(result)
        if documents is None:
            return None
        question = query_of(request.tool_call["args"], evidence_in(_messages(request.state)).question)
        metadata = {} if settings.group is None else {"group": settings.group}
        return Turn(question=question, passages=self._passages(question, documents), metadata=metadata)

    def result(self, message: ToolMessage, report: Report) -> ToolMessage:
        """The tool's message with what was kept, its own ids, and the retrieval's report."""
        told = {**message.response_metadata, FACTS: carried(report)}
        documents = documents_of(message) or []
        kept = _kept(documents, report)
        same = [d.page_content for d in kept] == [d.page_content for d in documents]
        content = message.content if same and report.released else self._texts(kept)
        if not report.released:
            content = report.text or ""
        artifact = message.artifact
        artifact = {**artifact, "documents": kept} if isinstance(artifact, Mapping) else kept
        return message.model_copy(
            update={"content": content, "artifact": artifact, "response_metadata": told}
        )

    def _uncut(self, result: Any) -> list[Document] | None:
        if not self._judges or not isinstance(result, ToolMessage) or not counts(result, self._tools):
            return None
        documents = documents_of(result)
        if documents is None or report_of(result) is not None:
            return None
        return None if documents and all(_is_kept(d) for d in documents) else documents

    def _passages(self, question: str, documents: Sequence[Document]) -> tuple[Passage, ...]:
        names = [passage_id(d) for d in documents]
        scores: list[float | None] = [None] * len(documents)
        if self._required or any(_has_score(d) for d in documents):
            sign = 1.0 if self._scoring.higher_is_better else -1.0
            scores = [sign * score for score in self._scoring(question, documents, names)]
        found: dict[str, Passage] = {}
        for document, name, score in zip(documents, names, scores, strict=True):
            passage = found.setdefault(name, as_passage(document, name=name, score=score))
            if passage.text != document.page_content:
                raise DuplicateIdError(
                    f"two documents of different text share the id {name!r}", hint="give each part its own id"
                )
        return tuple(found.values())


def _messages(state: Any) -> Sequence[Any]:
    if isinstance(state, Mapping):
        return state.get("messages") or ()
    return state if isinstance(state, list) else getattr(state, "messages", ())


def _kept(documents: Sequence[Document], report: Report) -> list[Document]:
    if not report.released:
        return []
    by_name = {passage_id(d): d for d in reversed(documents)}
    facts = {"kept": True, "certificate": certificate_facts(report)}
    return [
        with_facts(by_name[p.id], {**_facts(by_name[p.id]), **facts}, text=p.text)
        for p in report.passages
        if p.id in by_name
    ]


def _facts(document: Document) -> dict[str, Any]:
    found = document.metadata.get(FACTS)
    return dict(found) if isinstance(found, Mapping) else {}


def _is_kept(document: Document) -> bool:
    return "kept" in _facts(document)


def _has_score(document: Document) -> bool:
    found: Any = document.metadata
    for key in STORE:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found is not None
