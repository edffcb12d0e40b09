"""What the model is asked about a claim, and what it said.

For every claim one batch holds: each chunk that shares a word with it, the
sentences that bear on it read together, and the best of them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ragguard.alignment.selection import SentenceIndex, stems_of
from ragguard.models.pair_logits import ALIGNED, BINARY, CONTRADICTED, ENTAILED, LOGITS, NEUTRAL, THREE_WAY
from ragguard.protocols import FloatArray

TOGETHER = 4
ALONE = 3
_HALF = 0.5
_LIMIT = 12.0
_CHARACTERS_A_TOKEN = 3

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """The pairs of one claim: which chunks, which sentences, and in how many wordings.

    Attributes:
        texts: wordings of the claim; support by any of them counts. None where the claim is too
            long to be read beside a passage: nothing is asked then.
        chunks: places of the chunks read.
        together: places of the sentences read as one, in reading order.
        alone: places of the sentences read one by one, best first.
        sources: the source text of every pair of one wording: chunks, together, alone.
        rivals: how many chunks hold at least half of the claim's words, at least 1; all of
            them where none holds any.
    """

    texts: tuple[str, ...] = ()
    chunks: tuple[int, ...] = ()
    together: tuple[int, ...] = ()
    alone: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
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


def inquire(
    texts: Sequence[str], chunk_texts: Sequence[str], index: SentenceIndex, *, budget: int
) -> Inquiry:
    """Return what to ask about a claim.

    A chunk without any word of the claim cannot support it and is not read, unless
    no chunk has one.

    Args:
        budget: tokens of source that fit beside the claim.
    """
    wanted = frozenset[str]().union(*map(stems_of, texts))
    sharing = [i for i, stems in enumerate(index.chunk_stems) if stems & wanted]
    chunks = sharing or range(len(chunk_texts))
    together = _fitting(index, index.together(wanted, TOGETHER), budget)
    alone = index.best(wanted, ALONE)
    joined = " ".join(index.sentences[i].text for i in together)
    sources = [*(chunk_texts[i] for i in chunks)]
    sources += [joined] if joined else []
    sources += [index.sentences[i].text for i in alone]
    like = sum(len(index.chunk_stems[i] & wanted) >= _HALF * len(wanted) for i in sharing)
    rivals = max(1, like) if sharing else len(chunk_texts)
    return Inquiry(tuple(texts), tuple(chunks), tuple(together), tuple(alone), tuple(sources), rivals)


def _fitting(index: SentenceIndex, places: Sequence[int], budget: int) -> list[int]:
    """As many of the sentences, the most telling first, as are sure to be read whole; in reading order.

    Were their text too long, the tokenizer would cut it, and a long claim with it.
    """
    kept: list[int] = []
    characters = tokens = 0
    for place in places:
        characters += len(index.sentences[place].text) + 1
        tokens += index.sizes[place] + 1  # joined, a blank may be a token
        if kept and (characters > budget * _CHARACTERS_A_TOKEN or tokens > budget):
            break
        kept.append(place)
    return sorted(kept)


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
    if not inquiry.texts:
        return _unread()
    shaped = logits.reshape(len(inquiry.texts), len(inquiry.sources), LOGITS)
    three = shaped[..., THREE_WAY]
    two = shaped[..., BINARY]
    entailed = _log_odds(three, ENTAILED)
    best = np.argmax(entailed, axis=0)[None]

    def picked(values: FloatArray) -> FloatArray:
        found: FloatArray = np.take_along_axis(values, best, axis=0)[0]
        return found.clip(-_LIMIT, _LIMIT).astype(np.float32)

    return Observation(
        picked(entailed),
        picked(two[..., ALIGNED] - two[..., 1 - ALIGNED]),
        picked(_log_odds(three, CONTRADICTED)),
        chunks=len(inquiry.chunks),
        rivals=inquiry.rivals,
        joined=bool(inquiry.together),
    )


def _unread() -> Observation:
    """What stands for a claim that no model has read: the worst that one could say."""
    worst = np.full(1, -_LIMIT, dtype=np.float32)
    return Observation(worst, worst, -worst, chunks=1, rivals=1, joined=False)


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
    return Observation(
        np.concatenate([whole.entailed, chosen.entailed]),
        np.concatenate([whole.aligned, chosen.aligned]),
        np.concatenate([whole.contradicted, chosen.contradicted]),
        whole.chunks,
        whole.rivals,
        chosen.joined,
    )


def _log_odds(three: FloatArray, column: int) -> FloatArray:
    others = [i for i in (ENTAILED, NEUTRAL, CONTRADICTED) if i != column]
    rest = np.logaddexp(three[..., others[0]], three[..., others[1]])
    found: FloatArray = three[..., column] - rest
    return found
