"""A retrieval tool for agents that gives a model only the documents which the guard keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import Document
from langchain_core.tools import StructuredTool
from pydantic import BaseModel, Field

from langchain_ragguard.documents import FACTS
from langchain_ragguard.retrievers import GuardedRetriever
from ragguard.conformal.kept import certificate_facts
from ragguard.types import Report

DOCUMENTS = "documents"
"""Key of the artifact: the documents kept, best first."""


class _Query(BaseModel):
    query: str = Field(description="what to look up, as one question that can be understood alone")


def guarded_retriever_tool(
    retriever: GuardedRetriever,
    name: str,
    description: str,
    *,
    format_documents: Callable[[Sequence[Document]], str] | None = None,
    group: str | None = None,
) -> StructuredTool:
    """Return a tool that looks a question up and shows the model what the calibrated cut keeps of it.

    The tool message's artifact is {"documents": [...], "ragguard": {...}}: the documents
    kept, with their facts, and the retrieval's report, with which `RagGuardMiddleware` lets
    the retrieval promise stay with the answer. Where there is no evidence the model is told
    so, and the list is empty.

    Args:
        retriever: calibrated.
        name: for the model; unique among its tools.
        description: for the model: what can be looked up.
        format_documents: what the model reads; by default their texts, a blank line between.
        group: selects a Mondrian group.
    """
    shown = format_documents or texts_of

    def look_up(query: str, callbacks: Callbacks = None) -> tuple[str, dict[str, Any]]:
        return _told(retriever.report(query, {"callbacks": callbacks}, group=group), shown)

    async def alook_up(query: str, callbacks: Callbacks = None) -> tuple[str, dict[str, Any]]:
        return _told(await retriever.areport(query, {"callbacks": callbacks}, group=group), shown)

    return StructuredTool(
        name=name,
        description=description,
        func=look_up,
        coroutine=alook_up,
        args_schema=_Query,
        response_format="content_and_artifact",
    )


def texts_of(documents: Sequence[Document]) -> str:
    """Return the documents' texts, a blank line between."""
    return "\n\n".join(document.page_content for document in documents)


def kept_by(report: Report) -> list[Document]:
    """Return the passages that a retrieval's report kept as documents, [] where it released nothing."""
    if not report.released:
        return []
    facts = {"kept": True, "certificate": certificate_facts(report)}
    return [
        Document(id=p.id, page_content=p.text, metadata={**p.metadata, FACTS: dict(facts)})
        for p in report.passages
    ]


def carried(report: Report) -> dict[str, Any]:
    """Return a retrieval's report as JSON for the way through a conversation: what its promise needs, no more.

    Verdicts hold what was dropped, and every passage again; they stay with the guard's observers.
    """
    return report.model_copy(update={"verdicts": (), "seconds": {}}).model_dump(mode="json")


def _told(report: Report, shown: Callable[[Sequence[Document]], str]) -> tuple[str, dict[str, Any]]:
    documents = kept_by(report)
    # A model that is told nothing at all answers from memory.
    text = shown(documents) if report.released else report.text or ""
    return text, {DOCUMENTS: documents, FACTS: carried(report)}
