"""Beliefs: spans of a text that a registered source speaks through, and how much they conflict.

The belief conflict index (BCI) of a span is

    bci = conflict * specificity / (specificity + SCALE)

Specificity is the surprisal of the span's words under the unigram statistics of
all registered corpora, in nats, each word counting `FLOOR` at least. It says that the
source, and not chance, put these words there; it saturates, as 400 nats are no
better a proof of origin than 200, and the floor lets a long run of common words
prove it too: ten of them are worth half of everything. Conflict says whether
that source must not be heard: without it a rare word is just a rare word, and
its BCI is 0. Both are reported.

A verbatim match in `deny` conflicts as far as `trusted` does not say the same: words
that lie in a trusted match too are taken out, and conflict is what is left of the
saturated specificity. A secret at the end of a sentence that is public otherwise
keeps the weight of the secret.

References:
    Das, Jain and Chadha (2025), arXiv 2508.02063: the index, there the surprisal alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragguard.trace.corpus import Match, Occurrence, TraceCorpus
from ragguard.trace.tokens import Tokens
from ragguard.types import Span

Kind: TypeAlias = Literal["verbatim", "policy", "semantic"]
KINDS: tuple[Kind, ...] = ("verbatim", "policy", "semantic")
SCALE = 20.0
"""Nats at which a span has half of the weight of an endless one."""
FLOOR = 2.0
"""Least nats of a word: even "the" is one word more that agrees."""


class Frequencies(Protocol):
    """Smoothed unigram statistics, e.g. `TraceIndex.unigrams`."""

    def surprisal(self, words: Sequence[str], /) -> NDArray[np.float64]:
        """Return nats a word, finite also for words never seen."""
        ...

    def kl(self, words: Sequence[str], /) -> float:
        """Return the divergence of these words' frequencies from the corpora's, in nats."""
        ...


@dataclass(frozen=True)
class Belief:
    """A span traced to a source.

    Attributes:
        span: raw characters of the text.
        specificity: nats of its words, floored; 0 or more.
        per_token: the same, a word.
        kl: divergence of its words from the corpora's, in nats.
        conflict: in [0, 1].
        bci: in [0, 1), see the module.
        kind: how it was traced.
        label: of the corpus.
        occurrences: where the source says it; at most five.
        count: how often it does.
        clause: id of the policy clause, for `policy`.
    """

    span: Span
    specificity: float
    per_token: float
    kl: float
    conflict: float
    bci: float
    kind: Kind
    label: str
    occurrences: tuple[Occurrence, ...] = ()
    count: int = 0
    clause: str | None = None


@dataclass(frozen=True)
class Specificity:
    """How telling the words of a span are: in all, a word, and as a divergence; nats."""

    total: float
    per_token: float
    kl: float


def weight(nats: float) -> float:
    """Return the weight of a specificity, in [0, 1): it grows for ever, and slower and slower."""
    return nats / (nats + SCALE)


def floored(frequencies: Frequencies, words: Sequence[str]) -> NDArray[np.float64]:
    """Return the nats of each word, `FLOOR` at least."""
    if not words:
        return np.zeros(0)
    return np.maximum(np.asarray(frequencies.surprisal(words), dtype=np.float64), FLOOR)


def specificity(frequencies: Frequencies, words: Sequence[str]) -> Specificity:
    """Return how telling these words are."""
    nats = floored(frequencies, words)
    total = float(nats.sum())
    return Specificity(total, total / len(words) if words else 0.0, frequencies.kl(words) if words else 0.0)


def conflict_index(conflict: float, told: Specificity) -> float:
    """Return the BCI of a span with this conflict, in [0, 1], and this specificity."""
    return conflict * weight(told.total)


def covered(matches: Sequence[Match], count: int) -> NDArray[np.bool_]:
    """Return which of `count` tokens lie in one of the matches."""
    inside = np.zeros(count, dtype=np.bool_)
    for match in matches:
        inside[match.start : match.end] = True
    return inside


def covered_elsewhere(
    tokens: Tokens, trusted: TraceCorpus, found: Sequence[Match], *, least: int, without: Collection[str]
) -> NDArray[np.bool_]:
    """Return which tokens of these matches lie in one with `trusted`, some of its documents left out.

    A token lies in a match exactly if it lies in a run of `least` tokens that occurs: each is
    looked up by itself, and counts if one of its places is in another document. It is meant for
    calibration, as it costs a look-up a token.
    """
    count = len(tokens.words)
    inside = np.zeros(count, dtype=np.bool_)
    starts = {n for m in found for n in range(max(0, m.start - least + 1), min(m.end, count - least + 1))}
    for start in sorted(starts):
        run = slice(start, start + least)
        part = Tokens(tokens.words[run], tokens.starts[run], tokens.ends[run])
        for match in trusted.matches(part, least=least):
            if any(place.document not in without for place in match.occurrences):
                inside[run] = True
    return inside


def verbatim_beliefs(
    tokens: Tokens, found: Sequence[Match], trusted: NDArray[np.bool_], frequencies: Frequencies
) -> list[Belief]:
    """Return one belief a match in `deny`, net of what `trusted` says in the same words.

    Args:
        tokens: of the text.
        found: matches in `deny`.
        trusted: which tokens lie in a match in `trusted`.
        frequencies: over all corpora.
    """
    beliefs = []
    for match in found:
        words = tokens.words[match.start : match.end]
        told = specificity(frequencies, words)
        left = float(floored(frequencies, words)[~trusted[match.start : match.end]].sum())
        conflict = min(1.0, weight(left) / weight(told.total))
        beliefs.append(
            Belief(
                span=match.span,
                specificity=told.total,
                per_token=told.per_token,
                kl=told.kl,
                conflict=conflict,
                bci=conflict_index(conflict, told),
                kind="verbatim",
                label="deny",
                occurrences=match.occurrences,
                count=match.count,
            )
        )
    return beliefs
