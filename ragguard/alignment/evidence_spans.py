"""Where the support of a claim stands, and which piece of a claim has none.

Both are found by asking the scorer again: sentences of the chunks are added until
together they support the claim as well as a chunk did, and pieces of the claim are
left out until the rest is supported. What is returned are ranges, never texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ragguard.alignment.chunks import Chunk
from ragguard.alignment.clauses import clauses
from ragguard.alignment.numbers import numbers
from ragguard.text.words import content_words
from ragguard.types import Span

PairScores = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
"""Support in [0, 1] of each (source, claim) pair, in order."""
ClaimScores = Callable[[Sequence[str]], Sequence[float]]
"""Support in [0, 1] of each wording of a claim by one source, in order."""

_MOST_CANDIDATES = 16
_MOST_PIECES = 48
_LEAST_GAIN = 0.1
_NUMBER = re.compile(r"[$€£¥]?\d[\d.,:]*(?:\s?(?:%|percent|million|billion|thousand|trillion)\b|%)?")
_NAME = re.compile(r"[A-Z][\w'’-]*(?:\s+(?:(?:of|the|de|van|von|and)\s+)?[A-Z][\w'’-]*)*")
_WORD = re.compile(r"[^\W\d_]{3,}")
# What would dangle once a piece is gone: "opened in", "fell from the".
_LEADING_JOINT = re.compile(r"(?:[,;]\s*)?(?:(?:and|but|or|while|whereas)\s+)?", re.IGNORECASE)
_DANGLING = re.compile(
    r"(?:[,;(]?\s*\b(?:in|on|at|of|by|for|from|to|with|since|until|about|around|nearly|over|under|the|an?|and|or)\s+){0,3}$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class SourceSpan:
    """A sentence or a row of a passage, and what the scorer gave it alone.

    Attributes:
        passage: its place among the passages.
        span: its characters in that passage.
        text: as it was read.
        score: the claim's support by it alone.
    """

    passage: int
    span: Span
    text: str
    score: float


@dataclass(frozen=True)
class Support:
    """One to three source spans in the order of the passages, and the claim's support by them together."""

    spans: tuple[SourceSpan, ...]
    score: float


def support_spans(
    claim: str,
    chunks: Sequence[Chunk],
    score: PairScores,
    *,
    target: float | None = None,
    most: int = 3,
    epsilon: float = 0.02,
) -> Support:
    """Return the fewest sentences that together support the claim nearly as well as asked.

    The best sentence alone comes first; others are added one at a time, each the one
    that helps most, from any chunk: so a claim whose halves stand in two passages is
    found too. One that has become needless is left out again.

    Args:
        claim: as the scorer is to read it.
        chunks: where to look; of one passage or of several.
        target: in [0, 1]; what to reach. None means the best chunk's own score, which
            is then asked for as well; 1 asks for all that can be had.
        most: spans at most.
        epsilon: how far below the target is near enough; also the least gain of a span.
    """
    candidates = _candidates(chunks)
    if not candidates or most < 1:
        return Support((), 0.0)
    wholes = [chunk.text for chunk in chunks] if target is None else []
    scores = [float(p) for p in score([(text, claim) for text in [*wholes, *(c.text for c in candidates)]])]
    goal = max(scores[: len(wholes)]) if target is None else target
    alone = [
        SourceSpan(c.passage, c.span, c.text, p)
        for c, p in zip(candidates, scores[len(wholes) :], strict=True)
    ]
    ranked = sorted(alone, key=lambda s: (-s.score, -_shared(claim, s.text), s.passage, s.span.start))
    best = Support((ranked[0],), ranked[0].score)
    while best.score < goal - epsilon and len(best.spans) < most:
        better = _with_one_more(claim, best, ranked, score)
        if better is None or better.score < best.score + epsilon:
            break
        best = better
    return _without_needless(claim, best, score, epsilon)


def failing_piece(
    text: str, candidates: Sequence[Span], score: ClaimScores, *, least_gain: float = _LEAST_GAIN
) -> Span | None:
    """Return the smallest piece of a claim without which the rest is supported best, or None.

    Each candidate is left out in turn, with the word that would dangle ("in", "the").
    Of pieces that gain nearly as much as the best one, the shortest is meant: "1987"
    rather than its whole clause.

    Args:
        text: the claim.
        candidates: ranges of it; see `pieces_of`.
        score: support of each wording by the claim's evidence.
        least_gain: what leaving a piece out must add to the claim's support.
    """
    usable = [c for c in dict.fromkeys((c.start, c.end) for c in candidates) if _is_part(text, *c)]
    if not usable:
        return None
    scores = [float(p) for p in score([text, *(_without(text, *c) for c in usable)])]
    gains = [p - scores[0] for p in scores[1:]]
    best = max(gains)
    if best < least_gain:
        return None
    near = [c for c, gain in zip(usable, gains, strict=True) if gain >= max(least_gain, 0.8 * best)]
    start, end = min(near, key=lambda c: (c[1] - c[0], c[0]))
    return Span(start=start, end=end)


def pieces_of(text: str) -> list[Span]:
    """Return the figures and names of a claim: what is wrong in it most often, and can be wrong by itself."""
    found = [m.span() for pattern in (_NUMBER, _NAME) for m in pattern.finditer(text)]
    found = [(a, a + len(text[a:b].rstrip(".,:"))) for a, b in found]
    return _ordered(text, [(a, b) for a, b in found if content_words(text[a:b]) or numbers(text[a:b])])


def words_and_clauses_of(text: str) -> list[Span]:
    """Return the words of content of a claim and its clauses, short ones first."""
    taken = pieces_of(text)
    words = [m.span() for m in _WORD.finditer(text) if content_words(m.group())]
    words = [(a, b) for a, b in words if not any(t.start <= a < t.end for t in taken)]
    return _ordered(text, [*words, *((clause.start, clause.end) for clause in clauses(text))])


def _ordered(text: str, ranges: Sequence[tuple[int, int]]) -> list[Span]:
    usable = sorted({r for r in ranges if _is_part(text, *r)}, key=lambda r: (r[1] - r[0], r[0]))
    return [Span(start=a, end=b) for a, b in usable[:_MOST_PIECES]]


def smallest_failing_piece(claim: str, score: ClaimScores, *, suspects: Sequence[Span] = ()) -> Span | None:
    """Return the piece of an unsupported claim that fails, or None where no piece alone does.

    Figures and names are asked about before other words: a claim that has lost its
    verb can look supported because it no longer says anything.

    Args:
        suspects: ranges that another check has found wrong, asked about first.
    """
    for candidates in (suspects, pieces_of(claim), words_and_clauses_of(claim)):
        found = failing_piece(claim, candidates, score)
        if found is not None:
            return found
    return None


@dataclass(frozen=True)
class _Candidate:
    passage: int
    span: Span
    text: str


def _candidates(chunks: Sequence[Chunk]) -> list[_Candidate]:
    """The sentences and rows of the chunks, each once, though chunks overlap."""
    found: dict[tuple[int, int, int], _Candidate] = {}
    for chunk in chunks:
        for start, end in chunk.units:
            span = chunk.source_span(start, end)
            key = (chunk.passage, span.start, span.end)
            found.setdefault(key, _Candidate(chunk.passage, span, chunk.text[start:end]))
    return list(found.values())


def _with_one_more(
    claim: str, have: Support, ranked: Sequence[SourceSpan], score: PairScores
) -> Support | None:
    """The best of the spans that one more sentence makes.

    Asked about are sentences that score well alone, and those that hold words of the
    claim which are not there yet: the missing half seldom scores alone.
    """
    left = [s for s in ranked if s not in have.spans]
    missing = content_words(claim) - set().union(*(content_words(s.text) for s in have.spans))
    by_words = sorted(left, key=lambda s: -len(missing & content_words(s.text)))
    asked = list(dict.fromkeys([*left[: _MOST_CANDIDATES // 2], *by_words[: _MOST_CANDIDATES // 2]]))
    joined = [_in_order((*have.spans, one)) for one in asked]
    if not joined:
        return None
    scores = [float(p) for p in score([(_read(spans), claim) for spans in joined])]
    place = max(range(len(joined)), key=lambda i: scores[i])
    return Support(joined[place], scores[place])


def _without_needless(claim: str, have: Support, score: PairScores, epsilon: float) -> Support:
    while len(have.spans) > 1:
        fewer = [tuple(s for s in have.spans if s is not one) for one in have.spans]
        scores = [float(p) for p in score([(_read(spans), claim) for spans in fewer])]
        place = max(range(len(fewer)), key=lambda i: scores[i])
        if scores[place] < have.score - epsilon:
            break
        have = Support(fewer[place], scores[place])
    return have


def _in_order(spans: Sequence[SourceSpan]) -> tuple[SourceSpan, ...]:
    return tuple(sorted(spans, key=lambda s: (s.passage, s.span.start, s.span.end)))


def _read(spans: Sequence[SourceSpan]) -> str:
    return " ".join(span.text for span in spans)


def _shared(claim: str, text: str) -> int:
    return len(content_words(claim) & content_words(text)) + len(numbers(claim) & numbers(text))


def _is_part(text: str, start: int, end: int) -> bool:
    """Whether it is a piece of the text with something left beside it."""
    if not 0 <= start < end <= len(text):
        return False
    return any(ch.isalnum() for ch in text[start:end]) and any(
        ch.isalnum() for ch in text[:start] + text[end:]
    )


def _without(text: str, start: int, end: int) -> str:
    dangling = _DANGLING.search(text, max(0, start - 40), start)
    before = text[: dangling.start() if dangling else start].rstrip()
    after = text[end:].lstrip()
    after = after if before else _LEADING_JOINT.sub("", after, count=1)
    joint = "" if not before or after[:1] in ".,;:!?)%" else " "
    return f"{before}{joint}{after}"
