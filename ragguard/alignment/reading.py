"""One answer read against its passages: every claim's questions to the model, and the replies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ragguard.alignment.checks import Comparison, SourceFacts, compare
from ragguard.alignment.chunks import Chunk, chunk_passages
from ragguard.alignment.features import feature_vector
from ragguard.alignment.observation import (
    Inquiry,
    Observation,
    Pair,
    inquire,
    observe,
    with_chunks,
    without_chunks,
)
from ragguard.alignment.selection import SentenceIndex
from ragguard.alignment.units import Unit, is_short_answer, units
from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_tokens import PairTokens
from ragguard.protocols import FloatArray
from ragguard.types import Claim, Passage

LEAST_CHUNK = 32
_CHARACTERS_A_TOKEN = 3


@dataclass(frozen=True)
class Reading:
    """Everything about one claim before it is scored.

    Attributes:
        unit: the claim with its wordings.
        inquiry: what the model was asked.
        observation: what it said.
        comparison: what the symbolic checks found.
    """

    unit: Unit
    inquiry: Inquiry
    observation: Observation
    comparison: Comparison

    def features(self) -> NDArray[np.float64]:
        """Return the feature vector, in the order of `features.NAMES`."""
        return feature_vector(self.observation, self.comparison.features)


@dataclass(frozen=True)
class AnswerReading:
    """The readings of all claims of an answer, in order, and the sentences they refer to.

    Attributes:
        chunks: what the model read of the passages; empty where they hold no text.
    """

    claims: tuple[Reading, ...]
    index: SentenceIndex
    chunks: tuple[Chunk, ...]

    def features(self) -> NDArray[np.float64]:
        """Return the feature vectors of all claims, shape (claims, features)."""
        return np.stack([reading.features() for reading in self.claims])


def wordings(unit: Unit) -> tuple[str, ...]:
    """Return the wordings of a claim that the model reads; support of any of them counts.

    A claim that leans on another is read with it and alone: the other may itself be
    unsupported. A short answer is read with its question only: "Paris." alone is
    supported wherever Paris is named.
    """
    bare = unit.alternatives[0] if unit.alternatives else unit.text
    if unit.text == bare or is_short_answer(bare) or not unit.text.endswith(bare):
        return (unit.text,)
    return (unit.text, bare)


@dataclass(frozen=True)
class Prepared:
    """An answer's claims with what the model is to be asked about them."""

    asked: tuple[Unit, ...]
    inquiries: tuple[Inquiry, ...]
    index: SentenceIndex
    chunks: tuple[Chunk, ...]
    source: str

    def pairs(self) -> list[Pair]:
        """Return every pair of every claim, claim by claim."""
        return [pair for one in self.inquiries for pair in one.pairs()]

    def read(self, logits: FloatArray) -> AnswerReading:
        """Return the readings, given the logits (len(pairs), 6) of the pairs."""
        facts = SourceFacts.of(self.source)
        parts = zip(self.asked, self.inquiries, _parted(logits, self.inquiries), strict=True)
        readings = (
            Reading(unit, one, observe(one, part), compare(unit.claim.text, facts))
            for unit, one, part in parts
        )
        return AnswerReading(tuple(readings), self.index, self.chunks)


def prepare(
    tokens: PairTokens,
    claims: Sequence[Claim],
    passages: Sequence[Passage],
    *,
    question: str = "",
    chunk_tokens: int,
) -> Prepared:
    """Return what to ask about the claims of an answer; nothing where the passages hold no text.

    Args:
        chunk_tokens: of a chunk at most; less where a claim leaves less room.
    """
    asked = units(claims, question=question)
    chunks = _chunks(tokens, asked, passages, chunk_tokens)
    index = SentenceIndex(chunks)
    source = "\n\n".join(passage.text for passage in passages)
    if not chunks:
        return Prepared((), (), index, (), source)
    texts = [chunk.text for chunk in chunks]
    fits = chunk_tokens * _CHARACTERS_A_TOKEN
    inquiries = tuple(inquire(wordings(u), texts, index, fits=fits) for u in asked)
    return Prepared(tuple(asked), inquiries, index, tuple(chunks), source)


def read_answers(engine: PairEngine, answers: Sequence[Prepared]) -> list[AnswerReading]:
    """Return the readings of all answers; all their pairs go through the engine at once.

    Raises:
        ScoringError: the back end failed.
    """
    pairs = [answer.pairs() for answer in answers]
    logits = engine.logits([pair for one in pairs for pair in one])
    ends = np.cumsum([len(one) for one in pairs])
    return [answer.read(part) for answer, part in zip(answers, np.split(logits, ends[:-1]), strict=True)]


def read_early(
    engine: PairEngine,
    answers: Sequence[Prepared],
    decide: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
) -> list[AnswerReading]:
    """`read_answers`, leaving the chunks of a claim unread where they cannot change its verdict.

    The sentences that bear on the claims are read first. The combined score never
    falls when a feature rises, so that a claim which passes with its chunks at their
    worst passes whatever they say, and one that fails with them at their best fails.

    Args:
        decide: features (n, features) -> whether each is above the threshold.

    Raises:
        ScoringError: the back end failed.
    """
    asked = [(answer, place) for answer in answers for place in range(len(answer.inquiries))]
    inquiries = [answer.inquiries[place] for answer, place in asked]
    chosen = _observed(engine, [one.chosen() for one in inquiries])
    facts = {id(answer): SourceFacts.of(answer.source) for answer in answers}
    found = [compare(answer.asked[place].claim.text, facts[id(answer)]) for answer, place in asked]
    seen: list[Observation | None] = []
    for one, few, checks in zip(inquiries, chosen, found, strict=True):
        seen.append(_certain(one, few, checks, decide) if one.together else None)
    open_ = [place for place, one in enumerate(seen) if one is None]
    for place, whole in zip(open_, _observed(engine, [inquiries[i].whole() for i in open_]), strict=True):
        seen[place] = with_chunks(chosen[place], whole)
    claims = iter(
        Reading(answer.asked[place], answer.inquiries[place], one, checks)
        for (answer, place), one, checks in zip(asked, seen, found, strict=True)
        if one is not None
    )
    return [
        AnswerReading(tuple(islice(claims, len(answer.inquiries))), answer.index, answer.chunks)
        for answer in answers
    ]


def _certain(
    inquiry: Inquiry,
    chosen: Observation,
    checks: Comparison,
    decide: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
) -> Observation | None:
    """The observation without its chunks, if they cannot matter."""
    count = len(inquiry.chunks)
    worst = without_chunks(chosen, count, "lower")
    best = without_chunks(chosen, count, "upper")
    passes = decide(np.stack([feature_vector(one, checks.features) for one in (worst, best)]))
    if passes[0]:
        return worst
    return None if passes[1] else best


def _observed(engine: PairEngine, inquiries: Sequence[Inquiry]) -> list[Observation]:
    logits = engine.logits([pair for one in inquiries for pair in one.pairs()])
    return [observe(one, part) for one, part in zip(inquiries, _parted(logits, inquiries), strict=True)]


def _chunks(
    tokens: PairTokens, asked: Sequence[Unit], passages: Sequence[Passage], chunk_tokens: int
) -> list[Chunk]:
    texts = [text for unit in asked for text in wordings(unit)]
    longest = max(tokens.counts(texts), default=0)
    room = tokens.max_tokens - tokens.pair_overhead - longest
    # A claim that leaves no room is cut by the tokenizer, longest text first; the source keeps its share.
    budget = max(LEAST_CHUNK, min(chunk_tokens, room))
    return chunk_passages(passages, tokens.spans, budget=budget)


def _parted(logits: FloatArray, inquiries: Sequence[Inquiry]) -> Iterator[FloatArray]:
    start = 0
    for one in inquiries:
        end = start + len(one.texts) * len(one.sources)
        yield logits[start:end]
        start = end
