"""Questions through a retriever: what it returned, and where the relevant passages stood."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ragguard import protocols
from ragguard.conformal.observations import Observation, observe, ranked
from ragguard.conformal.scores import Array
from ragguard.corpus.questions import Question, ResolvedQuestion, Scope
from ragguard.corpus.retrievers import IndexRetriever
from ragguard.errors import GuardError, QuestionSetError
from ragguard.types import Passage, Stage, Turn

_BATCH = 32


@dataclass(frozen=True)
class Fields:
    """How a question set is read.

    Attributes:
        group: name of the field that holds the Mondrian group, or None.
        cluster: name of the field within which questions are not independent, or None.
        scope: whether an id in `relevant` that was split names the passage with the
            answer, or every passage of the document.
    """

    group: str | None = None
    cluster: str | None = None
    scope: Scope = "passage"

    def group_of(self, question: ResolvedQuestion) -> str | None:
        """Return the question's group as text, or None."""
        return _text(question.field(self.group or "group"))

    def cluster_of(self, question: ResolvedQuestion) -> str | None:
        """Return the question's cluster as text, or None."""
        return None if self.cluster is None else _text(question.field(self.cluster))

    def recorded(self) -> dict[str, Any]:
        """Return what an artifact keeps."""
        return asdict(self)

    @classmethod
    def restored(cls, recorded: Mapping[str, Any] | None) -> Fields:
        """Return the fields an artifact kept."""
        return cls(**dict(recorded or {}))

    def require(self, questions: Sequence[Question]) -> None:
        """Refuse a field that no question has.

        Raises:
            QuestionSetError: a declared field occurs nowhere.
        """
        for name in (self.group, self.cluster):
            if name is not None and questions and all(q.field(name) is None for q in questions):
                raise QuestionSetError(f"no question has the field {name!r}", hint="check the field's name")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


class TokenCounter:
    """Tokens of a passage by the embedder's tokenizer, each passage counted once."""

    def __init__(self, embedder: protocols.Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, int] = {}

    def __call__(self, passage: Passage) -> int:
        """Return the number of tokens, special tokens left out."""
        if passage.id not in self._known:
            self._known[passage.id] = len(self._embedder.token_spans(passage.text))
        return self._known[passage.id]


def observe_questions(
    questions: Sequence[ResolvedQuestion],
    retriever: protocols.Retriever,
    *,
    fields: Fields,
    upstream: Sequence[protocols.TurnGuard] = (),
    tokens: TokenCounter | None = None,
    counted: Callable[[Observation], int] = lambda o: len(o.similarities),
    weight: Callable[[str], float] | None = None,
    progress: protocols.Progress | None = None,
) -> Iterator[Observation]:
    """Yield one observation a question, in order.

    Args:
        questions: with relevant ids resolved to passages.
        retriever: exactly as it will serve.
        fields: how group and cluster are read.
        upstream: guards before the cut; what they drop counts as not returned, and a
            question they end has no candidates.
        tokens: counts the tokens of what is returned; None leaves them unknown.
        counted: how many of the best passages need their tokens counted.
        weight: likelihood ratio of a question.
        progress: told after each batch.
    """
    for start in range(0, len(questions), _BATCH):
        part = questions[start : start + _BATCH]
        for question, found in zip(part, _retrieve(retriever, part, upstream), strict=True):
            observation = observe(
                question.id,
                found.ids,
                found.similarities,
                question.relevant,
                group=fields.group_of(question),
                cluster=fields.cluster_of(question),
                provenance=question.provenance,
                weight=1.0 if weight is None else weight(question.text),
            )
            yield (
                observation if tokens is None else _counted(observation, found, tokens, counted(observation))
            )
        if progress is not None:
            progress("questions", start + len(part), len(questions))


@dataclass(frozen=True)
class _Found:
    """What a retriever returned for a question, and where the passages can be read."""

    ids: Sequence[str]
    similarities: Array
    passage: Callable[[str], Passage]


def _retrieve(
    retriever: protocols.Retriever,
    questions: Sequence[ResolvedQuestion],
    upstream: Sequence[protocols.TurnGuard],
) -> Iterator[_Found]:
    if isinstance(retriever, IndexRetriever) and not upstream:
        # No text is needed: thousands of passages a question stay on disk.
        for ids, similarities in retriever.rank([q.text for q in questions]):
            yield _Found(ids, similarities.astype(np.float64), retriever.index.get)
        return
    for question in questions:
        kept = _through(upstream, question, retriever(question.text))
        scores = [float("nan") if p.score is None else p.score for p in kept]
        by_id = {p.id: p for p in reversed(kept)}
        yield _Found([p.id for p in kept], np.array(scores, dtype=np.float64), by_id.__getitem__)


def _counted(observation: Observation, found: _Found, tokens: TokenCounter, count: int) -> Observation:
    ids, _ = ranked(found.ids, found.similarities)
    counts = np.zeros(len(observation.similarities))
    counts[:count] = [tokens(found.passage(name)) for name in ids[:count]]
    return replace(observation, tokens=counts)


def _through(
    upstream: Sequence[protocols.TurnGuard], question: ResolvedQuestion, found: Sequence[Passage]
) -> Sequence[Passage]:
    turn = Turn(question=question.text, passages=tuple(found))
    for guard in upstream:
        verdict = guard.check(turn, Stage.PASSAGES)
        if verdict.degraded:
            # A budget that runs out while calibrating would be calibrated as if it never did.
            raise GuardError(
                f"guard {guard.name!r} fell back on question {question.id!r} of the question set",
                hint="calibrate without a budget; what it falls back to is never promised anything",
            )
        if verdict.action.ends_turn:
            return ()
        turn = verdict.revised or turn
    return turn.passages or ()
