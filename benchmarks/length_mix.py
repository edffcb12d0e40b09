"""Texts of stated lengths, the same on every run: what the speed of a scorer is measured on.

Words are plain English, one or two tokens each, so lengths in words and tokens go
together. The mix of evidence lengths is that of passages cut for retrieval: most
are one to four sentences, all at most 128 tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

EVIDENCE_TOKENS: tuple[tuple[int, int, float], ...] = (
    (8, 24, 0.20),
    (24, 48, 0.30),
    (48, 80, 0.25),
    (80, 104, 0.15),
    (104, 120, 0.10),
)
"""From, below, share: tokens of evidence, specials and claim left out."""
CLAIM_TOKENS = (6, 18)
SENTENCE_WORDS = (9, 28)
_WORDS = (
    "the a an of in on at by for with from to and or but because while after before during under over "
    "bridge river city council market garden teacher doctor engine museum letter winter summer station "
    "company school window harbour village forest mountain history report budget library theatre island "
    "opened closed built sold moved changed reached crossed measured painted repaired described promised "
    "old new small large early late quiet narrow northern southern public private wooden famous former "
    "north south river two three four seven ten twelve 1978 1987 2004 2019 40 120 65 percent metres years"
).split()


def evidence_pairs(count: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Return pairs of evidence (`EVIDENCE_TOKENS`) and a claim of one sentence."""
    rng = np.random.default_rng([seed, 1])
    shares = np.array([share for _, _, share in EVIDENCE_TOKENS])
    bands = rng.choice(len(shares), size=count, p=shares / shares.sum())
    return [
        (text(int(rng.integers(*EVIDENCE_TOKENS[band][:2])), rng), sentence(rng, *CLAIM_TOKENS))
        for band in bands
    ]


def long_pairs(count: int, *, words: int = 2000, seed: int = 0) -> list[tuple[str, str]]:
    """Return pairs of a context of so many words and a claim of one sentence."""
    rng = np.random.default_rng([seed, 2])
    return [(text(words, rng), sentence(rng, *CLAIM_TOKENS)) for _ in range(count)]


def answers(
    count: int, *, passages: int = 8, claims: int = 6, seed: int = 0
) -> list[tuple[list[str], list[str]]]:
    """Return turns: passages of 40 to 120 words, and claims of which each shares words with some passage."""
    rng = np.random.default_rng([seed, 3])
    found = []
    for _ in range(count):
        sources = [text(int(rng.integers(40, 120)), rng) for _ in range(passages)]
        found.append((sources, [sentence(rng, *CLAIM_TOKENS) for _ in range(claims)]))
    return found


def text(words: int, rng: np.random.Generator) -> str:
    """Return sentences of so many words together; the last may be short."""
    parts: list[str] = []
    left = words
    while left > 0:
        size = min(left, int(rng.integers(*SENTENCE_WORDS)))
        parts.append(sentence(rng, size, size + 1))
        left -= size
    return " ".join(parts)


def sentence(rng: np.random.Generator, least: int, below: int) -> str:
    """Return one sentence of `least` to `below - 1` words."""
    chosen: Sequence[str] = rng.choice(_WORDS, int(rng.integers(least, below))).tolist()
    return " ".join([chosen[0].capitalize(), *chosen[1:]]) + "."
