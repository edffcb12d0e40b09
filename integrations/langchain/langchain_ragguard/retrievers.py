"""GuardedRetriever: any retriever, cut by a threshold that was calibrated through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, RetrieverLike
from langchain_core.runnables import RunnableConfig
from langchain_core.vectorstores import VectorStore
from pydantic import Field, PrivateAttr

from langchain_ragguard.facts import kept_documents
from langchain_ragguard.probe import Metric
from langchain_ragguard.source import DocumentSource, Retrieval
from langchain_ragguard.vectorstores import ScoredVectorStoreRetriever
from langchain_ragguard.verified import source_of, verified
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.kept import limited
from ragguard.errors import CalibrationMismatchError, ConfigurationError, InvalidValueError
from ragguard.evaluation.asked import Questions
from ragguard.guard import Guard
from ragguard.pipeline import Parts
from ragguard.types import Report, Turn
from ragguard.worker import run_on_worker


class GuardedRetriever(BaseRetriever):
    """Returns the documents within the calibrated threshold, best first, or [] where there is no evidence.

    Each is a copy with metadata["ragguard"]: its retrieval score as the base gave it,
    its nonconformity where it can be told, the threshold, `kept`, and the certificate
    that states the promise. The base's own documents are never changed. The promise
    holds for the base as it was calibrated; make the calibration with `calibrate`,
    which retrieves on exactly this path. It is about the threshold: of answerable
    questions, a share of up to `novelty_level` besides may be turned away with [].

    Exactly one source of scores is needed: a `ScoredVectorStoreRetriever` as base,
    `score_key`, or `embedder`.

    Args:
        base: a retriever, or anything runnable from a string to documents.
        guard: a calibrated `ragguard.Guard`, a `Calibration`, or the folder of one; once
            made, the attribute is always a `Guard`.
        score_key: metadata key that the base writes its score to; a document without it is an error.
        higher_is_better: of the scores at `score_key`; False for distances.
        embedder: LangChain `Embeddings` or a ragguard `Embedder`; scores the documents by cosine.
        id_key: metadata key that names a document, as `relevant` in the questions does;
            by default its id, or where it has none a hash of its text.
        identity: declared name and version of what cannot be seen from here (an index
            build, a remote service); part of the fingerprint.
        limit: most documents returned, at least 1; leaving out a document that the
            cut kept voids the certificate. A calibrated `cap` does not.
        on_refuse: what a refusal becomes (a guard failed, or turned the question away):
            "empty" returns [] as an abstention does, "raise" raises.
        rewriter: what makes standalone questions of follow-ups before they come here, e.g. a
            `StandaloneQuestion`. It is not called; its fingerprint must be the calibrated one.

    A call may give `limit`, `group`, and `k`, the number of candidates: another one than
    the calibrated is refused, as the calibrated scores say nothing about it.

    Raises:
        ConfigurationError: no source of scores, several, or a guard without calibration.
        CalibrationMismatchError: calibrated with another base, score source, k, embedder or rewriter.
    """

    base: RetrieverLike
    guard: Guard | Calibration | Path | str
    score_key: str | None = None
    higher_is_better: bool = True
    embedder: Any = None
    id_key: str | None = None
    identity: str | None = None
    limit: int | None = Field(default=None, gt=0)
    on_refuse: Literal["empty", "raise"] = "empty"
    rewriter: Any = None

    _source: DocumentSource = PrivateAttr()
    _guard: Guard = PrivateAttr()
    _calibration: Calibration = PrivateAttr()
    _cut: str = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Hold the guard against the base: every fingerprint must be the calibrated one."""
        self._source = source_of(
            self.base, self.score_key, self.higher_is_better, self.embedder, self.id_key, self.identity
        )
        self._guard, self._calibration, self._cut = verified(self.guard, self._source, rewriter=self.rewriter)
        self.guard = self._guard

    @classmethod
    def from_vectorstore(
        cls,
        store: VectorStore,
        guard: Guard | Calibration | Path | str,
        *,
        higher_is_better: bool,
        k: int,
        metric: Metric | None = None,
        search_kwargs: dict[str, Any] | None = None,
        probe: bool = True,
        **fields: Any,
    ) -> Self:
        """Return a guarded retriever over a store's raw scores, after a look at which way they point.

        Args:
            store: implements `similarity_search_with_score`.
            guard: calibrated through the same store, orientation and k.
            higher_is_better: False where the store's score is a distance.
            k: candidates asked of the store before the cut; as calibrated.
            metric: what the score is, if you know; as calibrated.
            search_kwargs: passed to the search, e.g. a filter; no score threshold.
            probe: search for some stored documents by their own text first.
            fields: further fields of the retriever.

        Raises:
            ScoreOrientationError: a stored text's own score lies at the worse end, or
                the store holds too little to tell.
            CalibrationMismatchError: see the class.
        """
        base = _over(store, higher_is_better, k, metric, search_kwargs)
        if probe:
            base.probe()
        return cls(base=base, guard=guard, **fields)

    @classmethod
    async def afrom_vectorstore(
        cls,
        store: VectorStore,
        guard: Guard | Calibration | Path | str,
        *,
        higher_is_better: bool,
        k: int,
        metric: Metric | None = None,
        search_kwargs: dict[str, Any] | None = None,
        probe: bool = True,
        **fields: Any,
    ) -> Self:
        """`from_vectorstore`, probing through the store's own asynchronous search."""
        base = _over(store, higher_is_better, k, metric, search_kwargs)
        if probe:
            await base.aprobe()
        return cls(base=base, guard=guard, **fields)

    @classmethod
    def calibrate(
        cls,
        base: RetrieverLike | VectorStore,
        questions: Questions,
        *,
        k: int | None = None,
        higher_is_better: bool | None = None,
        metric: Metric | None = None,
        search_kwargs: dict[str, Any] | None = None,
        probe: bool = True,
        score_key: str | None = None,
        embedder: Any = None,
        id_key: str | None = None,
        identity: str | None = None,
        limit: int | None = None,
        on_refuse: Literal["empty", "raise"] = "empty",
        rewriter: Any = None,
        **options: Any,
    ) -> Self:
        """Return a guarded retriever calibrated on these questions, each retrieved as it will be served.

        Args:
            base: a retriever, or a vector store together with `k` and `higher_is_better`.
            questions: see `ragguard.Guard.calibrate`; `relevant` names documents as `id_key` says.
            k: candidates asked of a store.
            higher_is_better: required for a store; True by default for `score_key`.
            metric: what a store's score is, if you know.
            search_kwargs: of a store's search.
            probe: check the direction of a store's scores first.
            score_key: see the class, as for the arguments after it.
            embedder: see the class.
            id_key: see the class.
            identity: see the class.
            limit: see the class.
            on_refuse: see the class.
            rewriter: see the class; the questions are taken as it would have written them.
            options: of `ragguard.Guard.calibrate`: alpha, target, score, guards, fields, serve, ...

        Raises:
            NoValidThresholdError: no threshold meets the target on these questions.
            QuestionSetError: the question set cannot be used.
            ScoreOrientationError: a store's scores point the other way than declared.
        """
        if isinstance(base, VectorStore):
            if k is None or higher_is_better is None:
                raise ConfigurationError("a vector store needs k and higher_is_better")
            base = _over(base, higher_is_better, k, metric, search_kwargs)
        elif (k, metric, search_kwargs) != (None, None, None):
            raise ConfigurationError(
                "k, metric and search_kwargs are for a vector store, not for a retriever"
            )
        if probe and isinstance(base, ScoredVectorStoreRetriever):
            base.probe()
        higher = higher_is_better is not False
        source = source_of(base, score_key, higher, embedder, id_key, identity)
        return cls(
            base=base,
            guard=Guard.calibrate(source, questions, rewriter=rewriter, **options),
            score_key=score_key,
            higher_is_better=higher,
            embedder=embedder,
            id_key=id_key,
            identity=identity,
            limit=limit,
            on_refuse=on_refuse,
            rewriter=rewriter,
        )

    @property
    def calibration(self) -> Calibration:
        """The calibration that the cut uses."""
        return self._calibration

    def save(self, folder: str | Path) -> Path:
        """Write the calibration into a folder, which the constructors take as `guard`; return its path."""
        return self._calibration.save(folder)

    def report(
        self,
        query: str,
        config: RunnableConfig | None = None,
        *,
        limit: int | None = None,
        group: str | None = None,
    ) -> Report:
        """Return everything the guard found out about one retrieval; `report.passages` are those kept.

        Args:
            query: a standalone question.
            config: of the base retriever's run.
            limit: instead of the retriever's.
            group: selects a Mondrian group.

        Raises:
            InvalidValueError: the query is empty.
            InvalidScoreError: a document has no finite score.
        """
        return self._judged(query, Retrieval(self._source, config), limit, group)

    async def areport(
        self,
        query: str,
        config: RunnableConfig | None = None,
        *,
        limit: int | None = None,
        group: str | None = None,
    ) -> Report:
        """`report`, through the base's own `ainvoke`; guards and scores run on a worker."""
        return await self._ajudged(query, Retrieval(self._source, config), limit, group)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        limit: int | None = None,
        group: str | None = None,
        k: int | None = None,
    ) -> list[Document]:
        self._require_depth(k)
        retrieval = Retrieval(self._source, {"callbacks": run_manager.get_child("base")})
        return self._documents(self._judged(query, retrieval, limit, group), retrieval)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        limit: int | None = None,
        group: str | None = None,
        k: int | None = None,
    ) -> list[Document]:
        self._require_depth(k)
        retrieval = Retrieval(self._source, {"callbacks": run_manager.get_child("base")})
        report = await self._ajudged(query, retrieval, limit, group)
        return await run_on_worker(self._documents, report, retrieval)

    def _judged(self, query: str, retrieval: Retrieval, limit: int | None, group: str | None) -> Report:
        at_most = self._at_most(limit)
        return limited(self._guard.pipeline.run(_turn(query, group), Parts(retriever=retrieval)), at_most)

    async def _ajudged(
        self, query: str, retrieval: Retrieval, limit: int | None, group: str | None
    ) -> Report:
        at_most = self._at_most(limit)
        report = await self._guard.pipeline.arun(_turn(query, group), Parts(retriever=retrieval))
        return limited(report, at_most)

    def _documents(self, report: Report, retrieval: Retrieval) -> list[Document]:
        if self.on_refuse == "raise" and report.action.value == "refuse":
            report.raise_for_refusal()
        return kept_documents(report, retrieval.candidates, self._calibration, cut=self._cut)

    def _at_most(self, limit: int | None) -> int | None:
        if limit is not None and limit < 1:
            raise InvalidValueError(f"limit must be at least 1, got {limit}")
        return self.limit if limit is None else limit

    def _require_depth(self, k: int | None) -> None:
        if k is not None and k != self._source.depth:
            raise CalibrationMismatchError(
                f"k={k} candidates were asked for, the calibration is for {self._source.depth}",
                hint="limit=... returns fewer of those kept; for another k calibrate again",
            )


def _turn(query: str, group: str | None) -> Turn:
    return Turn(question=query, metadata={} if group is None else {"group": group})


def _over(
    store: VectorStore,
    higher_is_better: bool,  # noqa: FBT001 - private, named at each call
    k: int,
    metric: Metric | None,
    search_kwargs: dict[str, Any] | None,
) -> ScoredVectorStoreRetriever:
    return ScoredVectorStoreRetriever(
        vectorstore=store,
        higher_is_better=higher_is_better,
        k=k,
        metric=metric,
        search_kwargs=search_kwargs or {},
    )
