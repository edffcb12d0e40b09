"""PreferenceRanker: documents in the order that suits the reader."""

from __future__ import annotations

import threading
from typing import Any, Self

from haystack import component, default_from_dict, default_to_dict
from haystack.dataclasses import Document

from haystack_integrations.components.guards.ragguard.documents import (
    as_passage,
    facts_of,
    require_documents,
    with_facts,
)
from haystack_integrations.components.guards.ragguard.spans import traced
from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.preference.reranker import RERANKER_SCORE, PreferenceReranker
from ragguard.types import Stage, Turn, Verdict
from ragguard.worker import run_on_worker

DEFAULT_WEIGHTS = {"relevance": 0.5, "bm25": 0.5}
"""Documents carry no retriever's score that could be trusted to point one way."""


@component
class PreferenceRanker:
    """Returns copies of the documents in the reranker's order, each with its score.

    The retriever's own score stays under meta["ragguard"]["retrieval_score"]. Where scores
    cannot be had, the order given stands, `score` is None and meta["ragguard"]["fallback"]
    says why; nothing is dropped but what `top_k` says. Before a `ConformalDocumentGate` it is
    part of the path that is calibrated; what is left out after one, no certificate covers.

    Args:
        reranker: a live `PreferenceReranker` instead of the options below; it cannot be
            written into YAML.
        top_k: documents returned at most, at least 1; None for all.
        options: of `PreferenceReranker`: model, weights, depth, budget, reader, backend, ...

    Raises:
        InvalidValueError: top_k cannot be used.
        ConfigurationError: both a reranker and options.
    """

    def __init__(
        self,
        reranker: Any = None,
        *,
        top_k: int | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        if top_k is not None and top_k < 1:
            raise InvalidValueError(f"top_k must be at least 1, got {top_k}")
        if reranker is not None and options:
            raise ConfigurationError("give either a reranker or options of one")
        self.reranker = reranker
        self.top_k = top_k
        self.options = dict(options or {})
        self._making = threading.Lock()
        self._made: PreferenceReranker | None = reranker

    def to_dict(self) -> dict[str, Any]:
        """Return the component as Haystack writes it into YAML.

        Raises:
            ConfigurationError: it was given a live reranker.
        """
        if self.reranker is not None:
            raise ConfigurationError(
                "a live reranker cannot be written into a pipeline's YAML", hint="pass options={'model': ...}"
            )
        written: dict[str, Any] = default_to_dict(self, top_k=self.top_k, options=self.options)
        return written

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the component as it was written; the model is loaded at warm-up."""
        made: Self = default_from_dict(cls, data)
        return made

    def fingerprint(self) -> dict[str, Any]:
        """What determines order and number: the reranker's own, and top_k."""
        return {"reranker": self._ready().fingerprint(), "top_k": self.top_k}

    def warm_up(self) -> None:
        """Load the model; again, it does nothing."""
        self._ready().warm_up()

    async def warm_up_async(self) -> None:
        """`warm_up`, off the event loop."""
        await run_on_worker(self.warm_up)

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return {"documents"}, reranked; the caller's own are left as they are.

        Args:
            query: a standalone question.
            documents: of a retriever.
            top_k: instead of the component's.

        Raises:
            InvalidValueError: top_k is below 1, or something else than documents was handed on.
        """
        with traced("ragguard.rerank", documents_in=len(documents)) as span:
            return self._ranked(span, query, documents, top_k)

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """`run`, on a worker."""
        with traced("ragguard.rerank", documents_in=len(documents)) as span:
            return await run_on_worker(self._ranked, span, query, documents, top_k)

    def _ready(self) -> PreferenceReranker:
        with self._making:
            if self._made is None:
                self._made = PreferenceReranker(**{"weights": DEFAULT_WEIGHTS, **self.options})
            return self._made

    def _ranked(
        self, span: Any, query: str, documents: list[Document], top_k: int | None
    ) -> dict[str, list[Document]]:
        if top_k is not None and top_k < 1:
            raise InvalidValueError(f"top_k must be at least 1, got {top_k}")
        given = require_documents(documents)
        passages = tuple(as_passage(d, name=str(i), score=d.score) for i, d in enumerate(given))
        verdict = self._ready().check(Turn(question=query, passages=passages), Stage.PASSAGES)
        ordered = () if verdict.revised is None else verdict.revised.passages or ()
        kept = [_scored(given[int(p.id)], p.metadata.get(RERANKER_SCORE), verdict) for p in ordered]
        fallback = verdict.details.get("fallback", "")
        span.set_tags(
            {"ragguard.documents_kept": len(kept[: top_k or self.top_k]), "ragguard.fallback": fallback}
        )
        return {"documents": kept[: top_k or self.top_k]}


def _scored(document: Document, score: Any, verdict: Verdict) -> Document:
    fallback = verdict.details.get("fallback")
    facts: dict[str, Any] = {"retrieval_score": document.score, "reranker_score": score}
    if fallback is not None:
        facts["fallback"] = fallback
    return with_facts(document, {**facts_of(document), **facts}, score=score)
