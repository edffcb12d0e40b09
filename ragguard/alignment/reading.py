"""One answer read against its passages: every claim's questions to the model, and the replies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ragguard.alignment.checks import Comparison, SourceFacts, compare
from ragguard.alignment.chunks import Chunk, chunk_passages
from ragguard.alignment.features import NAMES, feature_vector
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
from ragguard.errors import ScoringError
from ragguard.models.pair_logits import LOGITS
from ragguard.models.pair_tokens import PairTokens
from ragguard.protocols import Fingerprint, FloatArray
from ragguard.types import Claim, Passage

BETWEEN_PASSAGES = "\n\n"
"""What stands between two passages where the checks read them as one text."""
LEAST_CHUNK = 32
"""Tokens of source that a claim must leave room for."""


class Engine(Protocol):
    """What scores pairs; a `PairEngine`, or one's own."""

    @property
    def tokens(self) -> PairTokens:
        """The model's tokenizer."""
        ...

    def logits(self, pairs: Sequence[Pair]) -> FloatArray:
        """Return finite logits (len(pairs), 6), in order, as `pair_logits` names them."""
        ...

    def warm_up(self) -> None: ...

    def fingerprint(self) -> Fingerprint: ...


@dataclass(frozen=True)
class Source:
    """The passages, cut to chunks of one budget.

    Attributes:
        chunks: what the model reads of the passages; empty where they hold no text.
        index: their sentences.
        budget: tokens of a chunk at most.
    """

    chunks: tuple[Chunk, ...]
    index: SentenceIndex
    budget: int


@dataclass(frozen=True)
class Reading:
    """Everything about one claim before it is scored.

    Attributes:
        unit: the claim with its wordings.
        inquiry: what the model was asked.
        observation: what it said.
        comparison: what the symbolic checks found.
        source: what the places of the inquiry refer to.
    """

    unit: Unit
    inquiry: Inquiry
    observation: Observation
    comparison: Comparison
    source: Source

    def features(self) -> NDArray[np.float64]:
        """Return the feature vector, in the order of `features.NAMES`."""
        return feature_vector(self.observation, self.comparison.features)


@dataclass(frozen=True)
class AnswerReading:
    """The readings of all claims of an answer, in order; none where the passages hold no text."""

    claims: tuple[Reading, ...]

    def features(self) -> NDArray[np.float64]:
        """Return the feature vectors of all claims, shape (claims, features)."""
        return np.array([reading.features() for reading in self.claims]).reshape(-1, len(NAMES))


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
    """An answer's claims with what the model is to be asked about them.

    Attributes:
        asked: the claims.
        inquiries: for each, what to ask.
        sources: for each, what its inquiry refers to.
        text: of all passages, for the checks.
    """

    asked: tuple[Unit, ...]
    inquiries: tuple[Inquiry, ...]
    sources: tuple[Source, ...]
    text: str

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """What the checks find for each claim."""
        facts = SourceFacts.of(self.text)
        return tuple(compare(unit.claim.text, facts) for unit in self.asked)

    def pairs(self) -> list[Pair]:
        """Return every pair of every claim, claim by claim."""
        return [pair for one in self.inquiries for pair in one.pairs()]

    def read(self, logits: FloatArray) -> AnswerReading:
        """Return the readings, given the logits (len(pairs), 6) of the pairs."""
        parts = zip(self.inquiries, _parted(logits, self.inquiries), strict=True)
        return self.observed([observe(one, part) for one, part in parts])

    def observed(self, seen: Sequence[Observation]) -> AnswerReading:
        """Return the readings, given what the model said of each claim."""
        each = zip(self.asked, self.inquiries, seen, self.comparisons, self.sources, strict=True)
        return AnswerReading(tuple(Reading(*one) for one in each))


def prepare(
    engine: Engine,
    claims: Sequence[Claim],
    passages: Sequence[Passage],
    *,
    question: str = "",
    chunk_tokens: int,
) -> Prepared:
    """Return what to ask about the claims of an answer; nothing where the passages hold no text.

    What is asked about a claim depends on it alone, and on those it leans on: another
    claim of the answer, however long, changes nothing for it.

    Args:
        chunk_tokens: of a chunk at most, half of what the model reads at most; less for
            a claim that leaves less room.
    """
    text = BETWEEN_PASSAGES.join(passage.text for passage in passages)
    if not claims or not text.strip():
        return Prepared((), (), (), text)
    asked, tokens = units(claims, question=question), engine.tokens
    room = tokens.max_tokens - tokens.pair_overhead
    sources: dict[int, Source] = {}
    inquiries, used = [], []
    for texts, longest in _fitting(tokens, [wordings(u) for u in asked], room - LEAST_CHUNK):
        budget = _budget(min(chunk_tokens, room // 2), room - longest)
        source = sources.get(budget) or _source(tokens, passages, budget)
        sources[budget] = source
        chunk_texts = [chunk.text for chunk in source.chunks]
        inquiries.append(inquire(texts, chunk_texts, source.index, budget=budget) if texts else Inquiry())
        used.append(source)
    if not all(source.chunks for source in used):
        return Prepared((), (), (), text)
    return Prepared(tuple(asked), tuple(inquiries), tuple(used), text)


def read_answers(engine: Engine, answers: Sequence[Prepared]) -> list[AnswerReading]:
    """Return the readings of all answers; all their pairs go through the engine at once.

    Raises:
        ScoringError: the back end failed.
    """
    pairs = [answer.pairs() for answer in answers]
    logits = _asked(engine, [pair for one in pairs for pair in one])
    parts = np.split(logits, np.cumsum([len(one) for one in pairs[:-1]], dtype=np.intp))
    return [answer.read(part) for answer, part in zip(answers, parts, strict=False)]


def read_early(
    engine: Engine,
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
    inquiries = [one for answer in answers for one in answer.inquiries]
    checks = [one for answer in answers for one in answer.comparisons]
    chosen = _observed(engine, [one.chosen() for one in inquiries])
    seen = [
        few if not one.chunks else _certain(one, few, found, decide) if one.together else None
        for one, few, found in zip(inquiries, chosen, checks, strict=True)
    ]
    open_ = [place for place, one in enumerate(seen) if one is None]
    for place, whole in zip(open_, _observed(engine, [inquiries[i].whole() for i in open_]), strict=True):
        seen[place] = with_chunks(chosen[place], whole)
    found = iter([one for one in seen if one is not None])
    return [answer.observed(list(islice(found, len(answer.inquiries)))) for answer in answers]


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


def _asked(engine: Engine, pairs: Sequence[Pair]) -> FloatArray:
    """The logits of the pairs; whatever is not (n, 6) and finite is no reply, whoever gave it."""
    if not pairs:
        return np.zeros((0, LOGITS), dtype=np.float32)
    logits = engine.logits(pairs)
    if logits.shape != (len(pairs), LOGITS):
        raise ScoringError(f"the engine returned shape {logits.shape} for {len(pairs)} pairs")
    if not np.isfinite(logits).all():
        raise ScoringError("the engine returned NaN or infinity")
    return logits


def _observed(engine: Engine, inquiries: Sequence[Inquiry]) -> list[Observation]:
    logits = _asked(engine, [pair for one in inquiries for pair in one.pairs()])
    return [observe(one, part) for one, part in zip(inquiries, _parted(logits, inquiries), strict=True)]


def _fitting(
    tokens: PairTokens, worded: Sequence[Sequence[str]], most: int
) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield for each claim those of its wordings that leave room for a source, and the tokens of the longest."""
    counts = iter(tokens.counts([text for texts in worded for text in texts]))
    for texts in worded:
        sizes = {text: count for text in texts if (count := next(counts)) <= most}
        yield tuple(sizes), max(sizes.values(), default=0)


def _budget(most: int, room: int) -> int:
    """The largest of most, most / 2, most / 4, ... that fits: long claims of an answer share their chunks."""
    budget = max(LEAST_CHUNK, most)
    while budget > max(LEAST_CHUNK, room):
        budget = max(LEAST_CHUNK, budget // 2)
    return budget


def _source(tokens: PairTokens, passages: Sequence[Passage], budget: int) -> Source:
    chunks = tuple(chunk_passages(passages, tokens.spans, budget=budget))
    return Source(chunks, SentenceIndex(chunks, tokens.counts), budget)


def _parted(logits: FloatArray, inquiries: Sequence[Inquiry]) -> Iterator[FloatArray]:
    start = 0
    for one in inquiries:
        end = start + len(one.texts) * len(one.sources)
        yield logits[start:end]
        start = end
