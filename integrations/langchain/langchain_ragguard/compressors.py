"""A reranker as LangChain's document compressor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field

from langchain_ragguard.documents import as_passage, with_facts
from ragguard.preference.reranker import RERANKER_SCORE, PreferenceReranker
from ragguard.types import Stage, Turn
from ragguard.worker import run_on_worker

DEFAULT_WEIGHTS = {"relevance": 0.5, "bm25": 0.5}
"""Documents carry no retriever's score that could be trusted to point one way."""


class PreferenceCompressor(BaseDocumentCompressor):
    """Returns copies of the documents in the reranker's order, the score under metadata["ragguard"]["reranker_score"].

    Where scores cannot be had, the order given stands, the scores are None and
    metadata["ragguard"]["fallback"] says why; nothing is dropped but what `top_n` says.
    For retrieval with a guarantee give the reranker to `GuardedRetriever.calibrate`
    (`guards=[...]`) instead: what is left out here, no certificate covers.

    Args:
        reranker: a `PreferenceReranker`; the bundled one by default.
        top_n: documents returned at most; None for all.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    reranker: Any = Field(default_factory=lambda: PreferenceReranker(weights=DEFAULT_WEIGHTS))
    top_n: int | None = Field(default=None, ge=1)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Return the documents reranked; the caller's own are left as they are."""
        passages = tuple(as_passage(d, name=str(place)) for place, d in enumerate(documents))
        verdict = self.reranker.check(Turn(question=query, passages=passages), Stage.PASSAGES)
        ordered = () if verdict.revised is None else verdict.revised.passages or ()
        fallback = verdict.details.get("fallback")
        found = []
        for passage in ordered[: self.top_n]:
            score = passage.metadata.get(RERANKER_SCORE)
            facts = {"reranker_score": score, **({} if fallback is None else {"fallback": fallback})}
            before = documents[int(passage.id)]
            found.append(with_facts(before, {**_facts(before), **facts}))
        return found

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """`compress_documents`, off the event loop."""
        return await run_on_worker(self.compress_documents, documents, query)


def _facts(document: Document) -> dict[str, Any]:
    known = document.metadata.get("ragguard")
    return dict(known) if isinstance(known, dict) else {}
