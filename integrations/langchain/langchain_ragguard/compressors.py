"""Document compressors: the calibrated cut, and the reranker, for pipelines that retrieve and then compress."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import RetrieverLike
from langchain_core.runnables import RunnableLambda
from pydantic import ConfigDict, Field, PrivateAttr

from langchain_ragguard.documents import RELEVANCE_SCORE, as_passage, with_facts
from langchain_ragguard.facts import kept_documents
from langchain_ragguard.retrievers import GuardedRetriever
from langchain_ragguard.source import Candidates, DocumentSource
from langchain_ragguard.verified import scoring_of, source_of, verified
from ragguard.adapting import cutting
from ragguard.conformal.calibration import Calibration
from ragguard.errors import ConfigurationError
from ragguard.evaluation.asked import Questions
from ragguard.guard import Guard
from ragguard.preference.reranker import RERANKER_SCORE, PreferenceReranker
from ragguard.types import Report, Stage, Turn
from ragguard.worker import run_on_worker

DEFAULT_WEIGHTS = {"relevance": 0.5, "bm25": 0.5}
"""Documents carry no retriever's score that could be trusted to point one way."""

_UNSEEN = "the retriever before the compressor cannot be seen from it and was not compared"


class ConformalCompressor(BaseDocumentCompressor):
    """Returns copies of the documents within the calibrated threshold, best first, or [] without evidence.

    Each has the same metadata["ragguard"] as from a `GuardedRetriever`, and the cut is the same. What
    it is given must be all that the calibrated retriever found: calibrate through that
    retriever with `calibrate`, or give it as `base`. Without `base` the certificate is
    `degraded`, and says that the retriever was not compared; it is void where there are
    more documents than the calibrated retriever returns.

    A compressing retriever does not call its compressor when nothing was retrieved. The
    answer is then written from nothing, and no report says so: where that must be told
    apart, use `GuardedRetriever`, or a `RagGuardVerifier` on the answer.

    Args:
        guard: a calibrated `ragguard.Guard`, a `Calibration`, or the folder of one.
        base: the retriever before the compressor, to be compared with the calibrated one; it is not called.
        score_key: metadata key of the scores; by default, without an embedder, where a
            `ScoredVectorStoreRetriever` writes them. A document without one is an error.
        higher_is_better: of those scores; False for distances.
        embedder: scores the documents instead, see `GuardedRetriever`.
        id_key: metadata key that names a document, see `GuardedRetriever`.
        identity: declared name of what cannot be seen of `base`.
        rewriter: see `GuardedRetriever`; compared where `base` is.
        on_refuse: what a refusal becomes: "empty" returns [], "raise" raises.

    Raises:
        ConfigurationError: several sources of scores, or a guard without calibration.
        CalibrationMismatchError: calibrated with other scores or names, or through another base.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    guard: Guard | Calibration | Path | str
    base: RetrieverLike | None = None
    score_key: str | None = None
    higher_is_better: bool = True
    embedder: Any = None
    id_key: str | None = None
    identity: str | None = None
    rewriter: Any = None
    on_refuse: Literal["empty", "raise"] = "empty"

    _source: DocumentSource = PrivateAttr()
    _guard: Guard = PrivateAttr()
    _calibration: Calibration = PrivateAttr()
    _cut: str = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Hold the guard against what can be seen: every fingerprint must be the calibrated one."""
        if self.base is None:
            self._source = self._of_anywhere()
            self._guard, self._calibration, self._cut = _compared(self.guard, self._source)
        else:
            self._source = source_of(
                self.base, self.score_key, self.higher_is_better, self.embedder, self.id_key, self.identity
            )
            self._guard, self._calibration, self._cut = verified(
                self.guard, self._source, rewriter=self.rewriter
            )
        self.guard = self._guard

    @classmethod
    def calibrate(cls, base: RetrieverLike, questions: Questions, **options: Any) -> Self:
        """Return a compressor calibrated on what the base finds for these questions.

        Args:
            base: a retriever, which the compressor will stand behind.
            questions: see `GuardedRetriever.calibrate`, as for the options.
            options: alpha, target, score, ..., and score_key, embedder, id_key, ...

        Raises:
            NoValidThresholdError: no threshold meets the target on these questions.
            QuestionSetError: the question set cannot be used.
        """
        made = GuardedRetriever.calibrate(base, questions, **options)
        return cls(
            guard=made.guard,
            base=made.base,
            score_key=made.score_key,
            higher_is_better=made.higher_is_better,
            embedder=made.embedder,
            id_key=made.id_key,
            identity=made.identity,
            rewriter=made.rewriter,
            on_refuse=made.on_refuse,
        )

    def save(self, folder: str | Path) -> Path:
        """Write the calibration into a folder, which the constructor takes as `guard`; return its path."""
        return self._calibration.save(folder)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Return the documents kept; the caller's own are left as they are.

        Raises:
            InvalidScoreError: a document has no finite score.
            RefusalError: the guard refused, and `on_refuse` is "raise".
        """

        def compressed(_: str) -> Sequence[Document]:
            return self._compressed(documents, query)

        return RunnableLambda(compressed, name="ragguard.cut").invoke(query, {"callbacks": callbacks})

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """`compress_documents`, with scores and guards on a worker."""

        async def compressed(_: str) -> Sequence[Document]:
            return await self._acompressed(documents, query)

        return await RunnableLambda(compressed, name="ragguard.cut").ainvoke(query, {"callbacks": callbacks})

    def _compressed(self, documents: Sequence[Document], query: str) -> Sequence[Document]:
        found = self._source.candidates(query, documents)
        return self._kept(found, self._guard.pipeline.check(Turn(question=query, passages=found.passages)))

    async def _acompressed(self, documents: Sequence[Document], query: str) -> Sequence[Document]:
        found = await run_on_worker(self._source.candidates, query, documents)
        report = await self._guard.pipeline.acheck(Turn(question=query, passages=found.passages))
        return await run_on_worker(self._kept, found, report)

    def _kept(self, found: Candidates, report: Report) -> Sequence[Document]:
        if self.on_refuse == "raise" and report.action.value == "refuse":
            report.raise_for_refusal()
        told = self._qualified(report, len(found.passages))
        return kept_documents(told, found, self._calibration, cut=self._cut)

    def _qualified(self, report: Report, candidates: int) -> Report:
        """The report, its certificate saying what the compressor could not compare."""
        depth = self._calibration.artifact.depth
        changed: dict[str, Any] = {}
        if self.base is None:
            changed = {"status": "degraded"}
        if depth is not None and candidates > depth:
            changed = {"status": "void", "voided_by": "more documents than the calibrated retriever returns"}
        if not changed:
            return report
        certificates = tuple(
            c.model_copy(
                update={**changed, "notes": (*c.notes, *(() if self.base is not None else (_UNSEEN,)))}
            )
            if c.scope == "retrieval" and c.status in ("valid", "degraded")
            else c
            for c in report.certificates
        )
        return report.model_copy(update={"certificates": certificates})

    def _of_anywhere(self) -> DocumentSource:
        if self.score_key is not None and self.embedder is not None:
            raise ConfigurationError("score_key and embedder are two sources of scores", hint="give one")
        scoring = scoring_of(self.score_key, self.higher_is_better, self.embedder)
        return DocumentSource(RunnableLambda(lambda _: []), scoring, id_key=self.id_key)


class PreferenceCompressor(BaseDocumentCompressor):
    """Returns copies of the documents in the reranker's order, the score under metadata["ragguard"]["reranker_score"].

    It stands in metadata["relevance_score"] too, where other rerankers write theirs. Where
    scores cannot be had, the order given stands, the scores are None and
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

        def reranked(_: str) -> Sequence[Document]:
            return self._reranked(documents, query)

        return RunnableLambda(reranked, name="ragguard.rerank").invoke(query, {"callbacks": callbacks})

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """`compress_documents`, off the event loop."""

        async def reranked(_: str) -> Sequence[Document]:
            return await run_on_worker(self._reranked, documents, query)

        return await RunnableLambda(reranked, name="ragguard.rerank").ainvoke(query, {"callbacks": callbacks})

    def _reranked(self, documents: Sequence[Document], query: str) -> Sequence[Document]:
        passages = tuple(as_passage(d, name=str(place)) for place, d in enumerate(documents))
        verdict = self.reranker.check(Turn(question=query, passages=passages), Stage.PASSAGES)
        ordered = () if verdict.revised is None else verdict.revised.passages or ()
        fallback = verdict.details.get("fallback")
        found = []
        for passage in ordered[: self.top_n]:
            score = passage.metadata.get(RERANKER_SCORE)
            facts = {"reranker_score": score, **({} if fallback is None else {"fallback": fallback})}
            before = documents[int(passage.id)]
            copied = with_facts(before, {**_facts(before), **facts})
            if score is not None:
                copied.metadata[RELEVANCE_SCORE] = score
            found.append(copied)
        return found


def _compared(
    guard: Guard | Calibration | Path | str, source: DocumentSource
) -> tuple[Guard, Calibration, str]:
    """The guard, its calibration and its cut, known to be for these scores and names, from wherever they come."""
    found, calibration, cut = cutting(guard)
    live = source.fingerprint()
    seen = {key: live[key] for key in ("scored_by", "orientation", "id_key")}
    calibration.verify({**calibration.artifact.fingerprints, **seen})
    return found, calibration, cut


def _facts(document: Document) -> dict[str, Any]:
    known = document.metadata.get("ragguard")
    return dict(known) if isinstance(known, dict) else {}
