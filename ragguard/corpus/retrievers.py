"""Any retriever as one shape: a question in, scored `Passage`s out, best first.

What a user's retriever returns (our passages, (id, score) pairs, mappings,
LangChain documents) is normalised here and nowhere else.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ragguard import protocols
from ragguard.artifacts import qualified_name
from ragguard.corpus.index import PassageIndex
from ragguard.errors import InvalidScoreError, InvalidValueError
from ragguard.protocols import FloatArray
from ragguard.types import Passage
from ragguard.worker import run_on_worker

DEFAULT_DEPTH = 1000


class IndexRetriever:
    """The nearest passages of a `PassageIndex`, by cosine similarity.

    Args:
        index: what is searched.
        embedder: the one the index was built with.
        depth: passages returned for each question, fewer if the index is smaller.
        read: given the similarities, how many of the best passages are read from
            disk; the others are named and scored but carry no text. None reads all.
    """

    def __init__(
        self,
        index: PassageIndex,
        embedder: protocols.Embedder,
        *,
        depth: int = DEFAULT_DEPTH,
        read: Callable[[FloatArray], int] | None = None,
    ) -> None:
        if depth < 1:
            raise InvalidValueError(f"depth must be at least 1, got {depth}", hint="e.g. 1000")
        self.index = index
        self.embedder = embedder
        self.depth = depth
        self._read = read

    def __call__(self, question: str) -> list[Passage]:
        """Return the `depth` nearest passages, best first, with their cosine similarity as score."""
        ids, similarities = self.rank([question])[0]
        read = len(ids) if self._read is None else self._read(similarities)
        return [
            _scored(self.index.get(name), score) if place < read else _named(name, score)
            for place, (name, score) in enumerate(zip(ids, similarities.tolist(), strict=True))
        ]

    def rank(self, questions: Sequence[str]) -> list[tuple[list[str], FloatArray]]:
        """Return ids and similarities for several questions, embedded and searched together; no text is read."""
        ids, similarities = self.index.search(self.embedder.embed_queries(questions), self.depth)
        return [(row, values[: len(row)]) for row, values in zip(ids, similarities, strict=True)]

    def reading(self, read: Callable[[FloatArray], int]) -> IndexRetriever:
        """Return the same retriever, reading only so many of the best passages."""
        return IndexRetriever(self.index, self.embedder, depth=self.depth, read=read)

    def fingerprint(self) -> dict[str, Any]:
        """Embedder, index and depth."""
        return {
            "embedder": dict(self.embedder.fingerprint()),
            "index": dict(self.index.fingerprint()),
            "depth": self.depth,
        }


class AdaptedRetriever:
    """A user's retriever behind the `Retriever` protocol.

    Args:
        base: a callable, or an object with `invoke` (a LangChain retriever).
        name: declared in the fingerprint; defaults to the callable's qualified name.
        embedder: scores the results where the retriever gives no score; each result
            then needs a text.
        lower_is_better: declare it when the scores are distances.
        limit: how many results the retriever returns at most, if known.
    """

    def __init__(
        self,
        base: Any,
        *,
        name: str | None = None,
        embedder: protocols.Embedder | None = None,
        lower_is_better: bool = False,
        limit: int | None = None,
    ) -> None:
        self._call: Callable[[str], Any] = base.invoke if hasattr(base, "invoke") else base
        if not callable(self._call):
            raise InvalidValueError(f"a retriever is a callable, got {type(base).__name__}")
        self._base = base
        self._name = name
        self._embedder = embedder
        self._sign = -1.0 if lower_is_better else 1.0
        self.depth = getattr(base, "depth", None) if limit is None else limit

    def __call__(self, question: str) -> list[Passage]:
        """Return the results as passages, best first.

        Raises:
            InvalidScoreError: a score is NaN or infinite, or is missing and there is no
                embedder to score with.
            InvalidValueError: what came back is no sequence of results, or two different
                texts share an id.
        """
        return self._ordered(question, self._call(question))

    async def acall(self, question: str) -> list[Passage]:
        """`__call__`, through the retriever's own asynchronous method where it has one."""
        native = next((getattr(self._base, n) for n in ("acall", "ainvoke") if hasattr(self._base, n)), None)
        if native is None and inspect.iscoroutinefunction(self._call):
            native = self._call
        if native is None:
            return await run_on_worker(self.__call__, question)
        return await run_on_worker(self._ordered, question, await native(question))

    def _ordered(self, question: str, results: Any) -> list[Passage]:
        found = [self._passage(item) for item in _iterable(results)]
        if any(p.score is None for p in found):
            found = self._scored(question, found)
        _require_usable(found)
        return sorted(found, key=lambda p: -(p.score or 0.0))

    def fingerprint(self) -> dict[str, Any]:
        """The retriever's own fingerprint if it has one, else its declared name; who scores, and which way."""
        own = getattr(self._base, "fingerprint", None)
        identity = dict(own()) if callable(own) else {"name": self._name or qualified_name(self._base)}
        scorer = None if self._embedder is None else dict(self._embedder.fingerprint())
        return {
            "retriever": identity,
            "scored_by": scorer,
            "orientation": "lower" if self._sign < 0 else "higher",
            "depth": self.depth,
        }

    def _passage(self, item: Any) -> Passage:
        passage = as_passage(item)
        if passage.score is None or self._sign > 0:
            return passage
        return passage.model_copy(update={"score": self._sign * passage.score})

    def _scored(self, question: str, found: Sequence[Passage]) -> list[Passage]:
        if self._embedder is None:
            missing = next(p.id for p in found if p.score is None)
            raise InvalidScoreError(
                f"the retriever gave no score for passage {missing!r}",
                hint="return (passage, score) pairs, or pass embedder=... so that the guard scores them itself",
            )
        query = self._embedder.embed_queries([question])[0].astype(np.float64)
        vectors = self._embedder.embed_passages([p.text for p in found]).astype(np.float64)
        # One product a passage: a score must not depend on how many neighbours it was computed with.
        scores = [float(vector @ query) for vector in vectors]
        return [p.model_copy(update={"score": s}) for p, s in zip(found, scores, strict=True)]


class RescoringRetriever:
    """Another retriever's best passages, re-scored by a pair scorer such as a cross-encoder.

    Args:
        base: the first stage.
        scorer: gives the score that the guarantee is about.
        depth: passages of the first stage that are re-scored; the others are dropped.
    """

    def __init__(self, base: protocols.Retriever, scorer: protocols.PairScorer, *, depth: int = 100) -> None:
        self._base = base
        self._scorer = scorer
        self.depth = depth

    def __call__(self, question: str) -> list[Passage]:
        """Return the re-scored passages, best first."""
        found = list(self._base(question))[: self.depth]
        if not found:
            return []
        scores = np.asarray(self._scorer.score_pairs([(question, p.text) for p in found]), dtype=np.float64)
        rescored = [p.model_copy(update={"score": float(s)}) for p, s in zip(found, scores, strict=True)]
        return sorted(rescored, key=lambda p: -(p.score or 0.0))

    def fingerprint(self) -> dict[str, Any]:
        """The first stage's, with the scorer's."""
        own = getattr(self._base, "fingerprint", None)
        base = dict(own()) if callable(own) else {"name": qualified_name(self._base)}
        return {**base, "scorer": dict(self._scorer.fingerprint()), "depth": self.depth}


def as_retriever(base: Any, *, embedder: protocols.Embedder | None = None) -> protocols.Retriever:
    """Return our own retrievers as they are, and any other wrapped in an `AdaptedRetriever`."""
    if isinstance(base, IndexRetriever | AdaptedRetriever | RescoringRetriever):
        return base
    return AdaptedRetriever(base, embedder=embedder)


def as_passage(item: Any) -> Passage:
    """Return one result as a passage.

    Accepts a `Passage`, an (item, score) pair, an id, a mapping with "id", "text",
    "score", "metadata", or an object with `page_content` and `metadata` (a LangChain
    document; its score is read from metadata "score" or "relevance_score").

    Raises:
        InvalidValueError: it is none of these.
    """
    if isinstance(item, Passage):
        return item
    if isinstance(item, tuple | list) and len(item) == 2:
        return as_passage(item[0]).model_copy(update={"score": _number(item[1])})
    if isinstance(item, str):
        return Passage(id=item, text="")
    if isinstance(item, Mapping) and isinstance(item.get("id"), str):
        return Passage(
            id=item["id"],
            text=str(item.get("text") or ""),
            score=_number(item.get("score")),
            metadata=dict(item.get("metadata") or {}),
        )
    if hasattr(item, "page_content"):
        return _from_document(item)
    raise InvalidValueError(
        f"a retriever returned {type(item).__name__}", hint="return Passage objects or (id, score) pairs"
    )


def _from_document(document: Any) -> Passage:
    metadata = dict(document.metadata or {})
    score = metadata.get("score", metadata.get("relevance_score"))
    name = getattr(document, "id", None) or metadata.get("id") or metadata.get("source")
    # A document without an identity gets one from its content, the same on every run.
    text = str(document.page_content)
    encoded = text.encode("utf-8", "surrogatepass")
    name = str(name) if name else "sha256:" + hashlib.sha256(encoded).hexdigest()[:16]
    return Passage(id=name, text=text, score=_number(score), metadata=metadata)


def _number(score: Any) -> float | None:
    try:
        return None if score is None else float(score)
    except (TypeError, ValueError) as error:
        raise InvalidScoreError(
            f"a retrieval score is a {type(score).__name__}, not a number", hint="return a float, or None"
        ) from error


def _iterable(results: Any) -> Iterable[Any]:
    if isinstance(results, Iterable) and not isinstance(results, str | Mapping):
        return results
    if inspect.iscoroutine(results):
        results.close()
    raise InvalidValueError(
        f"the retriever returned a {type(results).__name__}",
        hint="return a list of results; an asynchronous retriever serves acheck and aanswer alone",
    )


def _require_usable(found: Sequence[Passage]) -> None:
    texts: dict[str, str] = {}
    for passage in found:
        if passage.score is not None and not math.isfinite(passage.score):
            raise InvalidScoreError(
                f"retrieval score of passage {passage.id!r} is {passage.score}",
                hint="every result needs a finite score",
            )
        if texts.setdefault(passage.id, passage.text) != passage.text:
            # Only one of the two would be kept: chunks that go by their file's name lose each other.
            raise InvalidValueError(
                f"two results with different texts have the id {passage.id!r}",
                hint="give every passage an id of its own, not its document's",
            )


def _scored(passage: Passage, score: float) -> Passage:
    # Thousands of these are made for each question; what the index holds was validated when it was built.
    return Passage.model_construct(
        id=passage.id,
        text=passage.text,
        document=passage.document,
        span=passage.span,
        score=score,
        metadata=passage.metadata,
    )


def _named(name: str, score: float) -> Passage:
    return Passage.model_construct(id=name, text="", document=None, span=None, score=score, metadata={})
