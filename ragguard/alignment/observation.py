"""What the model is asked about a claim, and what it said.

For every claim one batch holds: each chunk that shares a word with it, the
sentences that bear on it read together, and the best of them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ragguard.alignment.selection import SentenceIndex
from ragguard.models.pair_logits import ALIGNED, BINARY, CONTRADICTED, ENTAILED, NEUTRAL, THREE_WAY
from ragguard.protocols import FloatArray
from ragguard.text.words import content_words

TOGETHER = 4
ALONE = 3
_HALF = 0.5
_LIMIT = 12.0

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """The pairs of one claim: which chunks, which sentences, and in how many wordings.

    Attributes:
        texts: wordings of the claim; support by any of them counts.
        chunks: places of the chunks read.
        together: places of the sentences read as one, in reading order.
        alone: places of the sentences read one by one, best first.
        sources: the source text of every pair of one wording: chunks, together, alone.
        rivals: how many chunks hold at least half of the claim's words, at least 1.
    """

    texts: tuple[str, ...]
    chunks: tuple[int, ...]
    together: tuple[int, ...]
    alone: tuple[int, ...]
    sources: tuple[str, ...]
    rivals: int = 1

    def pairs(self) -> list[Pair]:
        """Return every (source, wording) pair, wording by wording."""
        return [(source, text) for text in self.texts for source in self.sources]

    def chosen(self) -> Inquiry:
        """Return the same without the chunks: the sentences only, which cost little to read."""
        return replace(self, chunks=(), sources=self.sources[len(self.chunks) :])

    def whole(self) -> Inquiry:
        """Return the same with the chunks only."""
        return replace(self, together=(), alone=(), sources=self.sources[: len(self.chunks)])


def inquire(texts: Sequence[str], chunk_texts: Sequence[str], index: SentenceIndex, *, fits: int) -> Inquiry:
    """Return what to ask about a claim.

    A chunk without any word of the claim cannot support it and is not read, unless
    no chunk has one.

    Args:
        fits: characters of source that certainly fit beside the claim.
    """
    wanted = frozenset().union(*(content_words(text) for text in texts))
    chunks = [i for i, stems in enumerate(index.chunk_stems) if stems & wanted] or range(len(chunk_texts))
    together = _fitting(index, index.together(wanted, TOGETHER), fits)
    alone = index.best(wanted, ALONE)
    joined = " ".join(index.sentences[i].text for i in together)
    sources = [*(chunk_texts[i] for i in chunks)]
    sources += [joined] if joined else []
    sources += [index.sentences[i].text for i in alone]
    rivals = sum(len(stems & wanted) >= _HALF * len(wanted) for stems in index.chunk_stems)
    return Inquiry(tuple(texts), tuple(chunks), tuple(together), tuple(alone), tuple(sources), max(1, rivals))


def _fitting(index: SentenceIndex, places: Sequence[int], fits: int) -> list[int]:
    kept: list[int] = []
    size = 0
    for place in places:
        size += len(index.sentences[place].text) + 1
        if kept and size > fits:
            break
        kept.append(place)
    return kept


@dataclass(frozen=True, slots=True)
class Observation:
    """Log-odds of support and of contradiction for every source of an inquiry; the best wording's.

    Attributes:
        entailed: log-odds of "entailed" against the other two, shape (sources,).
        aligned: log-odds of the binary head, shape (sources,).
        contradicted: log-odds of "contradicted" against the other two, shape (sources,).
        chunks: how many sources, from the start, are chunks.
        rivals: how many chunks hold at least half of the claim's words, at least 1.
        joined: whether a joined reading follows them.
        bound: "lower" or "upper" where the chunks were not read, because no reading of
            them could change the verdict: they stand at their worst or best.
    """

    entailed: FloatArray
    aligned: FloatArray
    contradicted: FloatArray
    chunks: int
    rivals: int
    joined: bool
    bound: Literal["", "lower", "upper"] = ""

    @property
    def together(self) -> int:
        """The place of the joined reading; that of the best chunk where there is none."""
        return self.chunks if self.joined else int(np.argmax(self.entailed))

    @property
    def alone(self) -> slice:
        """The places of the single sentences."""
        return slice(self.chunks + self.joined, len(self.entailed))


def observe(inquiry: Inquiry, logits: FloatArray) -> Observation:
    """Return what the logits (wordings * sources, 6) of an inquiry's pairs say."""
    shaped = logits.reshape(len(inquiry.texts), len(inquiry.sources), -1)
    three = shaped[..., THREE_WAY]
    two = shaped[..., BINARY]
    entailed = _log_odds(three, ENTAILED)
    best = np.argmax(entailed, axis=0)[None]
    aligned = two[..., ALIGNED] - two[..., 1 - ALIGNED]
    contradicted = _log_odds(three, CONTRADICTED)
    picked = [np.take_along_axis(a, best, axis=0)[0] for a in (entailed, aligned, contradicted)]
    clipped = [np.clip(a, -_LIMIT, _LIMIT).astype(np.float32) for a in picked]
    return Observation(
        *clipped, chunks=len(inquiry.chunks), rivals=inquiry.rivals, joined=bool(inquiry.together)
    )


def without_chunks(chosen: Observation, chunks: int, bound: Literal["lower", "upper"]) -> Observation:
    """Return an observation of the sentences with as many chunks as there are, all at their worst or best."""
    best = _LIMIT if bound == "upper" else -_LIMIT
    fill = np.full(chunks, best, dtype=np.float32)
    return Observation(
        np.concatenate([fill, chosen.entailed]),
        np.concatenate([fill, chosen.aligned]),
        np.concatenate([-fill, chosen.contradicted]),
        chunks,
        chosen.rivals,
        chosen.joined,
        bound,
    )


def with_chunks(chosen: Observation, whole: Observation) -> Observation:
    """Return the observation of an inquiry whose sentences and chunks were read apart."""
    parts = (
        np.concatenate([one, other])
        for one, other in (
            (whole.entailed, chosen.entailed),
            (whole.aligned, chosen.aligned),
            (whole.contradicted, chosen.contradicted),
        )
    )
    return Observation(*parts, whole.chunks, whole.rivals, chosen.joined)


def _log_odds(three: FloatArray, column: int) -> FloatArray:
    others = [i for i in (ENTAILED, NEUTRAL, CONTRADICTED) if i != column]
    rest = np.logaddexp(three[..., others[0]], three[..., others[1]])
    found: FloatArray = three[..., column] - rest
    return found
