"""Whether some of the retrieved passages were written to be retrieved, and to agree.

A poisoned corpus answers one question with one wrong claim in several wordings,
often behind the question itself so that a retriever finds it. Judged passage by
passage nothing is wrong with that; beside the others three things show:

* echo: a passage repeats the user's question word for word, and so does another
  that agrees with it. One alone may be a page of questions and answers.
* agreement: several passages of different documents say the same as closely as
  passages that were found separately do not.
* dissent: what a passage says about the question is contradicted by those that
  are trusted, or, for one under suspicion already, by the rest.

References:
    Zou et al. 2024, "PoisonedRAG: Knowledge Corruption Attacks to Retrieval-Augmented
    Generation of Large Language Models", arXiv 2402.07867.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ragguard.protocols import Aligner, FloatArray
from ragguard.text.sentences import sentence_spans
from ragguard.text.words import content_words
from ragguard.trace.tokens import tokenise
from ragguard.types import Claim, Passage, Span

ECHO_LEAST_WORDS = 5
ECHO_SHARE = 0.75
"""From here on a run of the question is more than its subject, which any answer may name."""
_READ, _ASKED = 20_000, 64


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What speaks against one passage beside the others; no text.

    Attributes:
        score: the largest of what the signals come to, in [0, 1].
        echo: share of the question's words that stand in it in one run, in [0, 1].
        agreement: likeness to the second nearest passage of another document, in [0, 1].
        dissent: how surely others contradict it, in [0, 1].
        group: number of its group of passages that say the same; one alone is its own.
        size: of that group.
        span: where the echo stands, or None.
    """

    score: float
    echo: float
    agreement: float
    dissent: float
    group: int
    size: int
    span: Span | None = None


@dataclass(frozen=True)
class PoisoningRules:
    """At which values a signal counts; each pair is (nothing, all), linear between.

    Attributes:
        agreement: likeness to the second nearest passage.
        echoing: likeness to another passage that echoes the question too.
        alike: likeness from which two passages are of one group.
        dissent: probability from which a contradiction counts.
    """

    agreement: tuple[float, float] = (0.77, 0.87)
    echoing: tuple[float, float] = (0.40, 0.60)
    alike: float = 0.8
    dissent: float = 0.5


def find_poisoned(
    question: str,
    passages: Sequence[Passage],
    vectors: FloatArray,
    *,
    rules: PoisoningRules | None = None,
    aligner: Aligner | None = None,
    trusted: Callable[[Passage], bool] | None = None,
) -> list[Suspicion]:
    """Return what speaks against each passage, in order.

    Args:
        question: as it was sent to the retriever.
        passages: as retrieved.
        vectors: a unit vector a passage; zeros for one without words. Shape (len(passages), d).
        rules: see `PoisoningRules`.
        aligner: judges dissent; without one there is none.
        trusted: passages that are taken at their word, never suspected, and that the others
            are held against; without it, only suspects are held against the rest.
    """
    rules = rules or PoisoningRules()
    alike = likeness(passages, vectors)
    echoes = [find_echo(question, passage.text) for passage in passages]
    groups = grouped(alike, rules.alike)
    sizes = np.bincount(groups, minlength=len(passages)) if len(passages) else np.zeros(0, dtype=int)
    echoing = np.array([share >= ECHO_SHARE for share, _ in echoes], dtype=bool)
    found = []
    for i in range(len(passages)):
        others = np.sort(alike[i])[::-1]
        second = float(others[1]) if len(others) > 2 else 0.0
        with_echo = float(alike[i][echoing].max(initial=0.0)) if echoing[i] else 0.0
        score = max(_ramp(second, rules.agreement), _ramp(with_echo, rules.echoing))
        found.append(
            Suspicion(
                score=round(score, 4),
                echo=round(echoes[i][0], 4),
                agreement=round(max(0.0, second), 4),
                dissent=0.0,
                group=int(groups[i]),
                size=int(sizes[groups[i]]),
                span=echoes[i][1] if echoing[i] else None,
            )
        )
    believed = [trusted is not None and trusted(passage) for passage in passages]
    found = [replace(s, score=0.0) if sure else s for s, sure in zip(found, believed, strict=True)]
    if aligner is None or len(passages) < 2:
        return found
    return _with_dissent(question, passages, found, believed, aligner, rules.dissent)


def find_echo(question: str, text: str) -> tuple[float, Span | None]:
    """Return the share of the question's words that the text repeats in one run, and where.

    (0, None) for a question of fewer than five words: those recur by chance. Of a very
    long text the first and last 20,000 characters are looked at, of a question 64 words.
    """
    asked = tokenise(question[:_READ]).words[:_ASKED]
    if len(asked) < ECHO_LEAST_WORDS:
        return 0.0, None
    best: tuple[int, Span | None] = (0, None)
    for start in sorted({0, max(0, len(text) - _READ)}):
        tokens = tokenise(text[start : start + _READ])
        places: dict[str, list[int]] = {}
        for place, word in enumerate(tokens.words):
            places.setdefault(word, []).append(place)
        runs: dict[int, int] = {}
        for word in asked:
            runs = {place: runs.get(place - 1, 0) + 1 for place in places.get(word, ())}
            for place, length in runs.items():
                if length > best[0]:
                    first, last = int(tokens.starts[place - length + 1]), int(tokens.ends[place])
                    best = length, Span(start=start + first, end=start + last)
    return best[0] / len(asked), best[1]


def likeness(passages: Sequence[Passage], vectors: FloatArray) -> NDArray[np.float64]:
    """Return cosines of passages of different documents, 0 for those of one; shape (n, n).

    Two chunks of one document overlap and agree, as they should; a passage that came
    twice agrees with itself. Neither says anything.
    """
    count = len(passages)
    found = (
        np.round(vectors.astype(np.float64) @ vectors.astype(np.float64).T, 4) if count else np.zeros((0, 0))
    )
    names = [passage.document or passage.id for passage in passages]
    texts = [" ".join(passage.text.split()) for passage in passages]
    for i in range(count):
        for j in range(count):
            if i == j or names[i] == names[j] or texts[i] == texts[j]:
                found[i, j] = 0.0
    return found


def grouped(alike: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """Return a group number a passage: those linked by a likeness of `least` share one."""
    groups = np.arange(len(alike))
    for i in range(len(alike)):
        for j in range(i):
            if alike[i, j] >= least and groups[i] != groups[j]:
                groups[groups == max(groups[i], groups[j])] = min(groups[i], groups[j])
    return groups


def _with_dissent(
    question: str,
    passages: Sequence[Passage],
    found: Sequence[Suspicion],
    believed: Sequence[bool],
    aligner: Aligner,
    least: float,
) -> list[Suspicion]:
    """Hold what suspects say about the question against those who are not of their group."""
    revised = list(found)
    if any(believed):
        rest = [p for p, sure in zip(passages, believed, strict=True) if sure]
        return _held_against(
            question,
            passages,
            revised,
            [i for i, sure in enumerate(believed) if not sure],
            rest,
            aligner,
            least,
        )
    suspects = [i for i, s in enumerate(found) if s.size > 1 or s.echo >= ECHO_SHARE]
    for group in sorted({found[i].group for i in suspects}):
        mine = [i for i in suspects if found[i].group == group]
        rest = [p for i, p in enumerate(passages) if found[i].group != group and i not in suspects]
        revised = _held_against(question, passages, revised, mine, rest, aligner, least)
    return revised


def _held_against(
    question: str,
    passages: Sequence[Passage],
    found: list[Suspicion],
    rows: Sequence[int],
    rest: Sequence[Passage],
    aligner: Aligner,
    least: float,
) -> list[Suspicion]:
    claims = {i: said for i in rows if (said := said_about(question, passages[i].text)) is not None}
    if not claims or not rest:
        return found
    for i, evidence in zip(
        claims, aligner.align(list(claims.values()), rest, question=question), strict=True
    ):
        against = 1.0 - (0.0 if evidence.score is None else evidence.score)
        if evidence.outcome == "contradicted" and against >= least:
            found[i] = replace(
                found[i], dissent=round(against, 4), score=max(found[i].score, round(against, 4))
            )
    return found


def said_about(question: str, text: str) -> Claim | None:
    """Return the sentence of a text that shares most with the question and is not the question, or None."""
    wanted = content_words(question)
    best: tuple[float, Claim | None] = (0.0, None)
    for start, end in sentence_spans(text[:_READ]):
        sentence = text[start:end]
        words = content_words(sentence)
        if sentence.rstrip().endswith("?"):
            continue
        if not words - wanted and find_echo(question, sentence)[0] >= ECHO_SHARE:
            continue  # the question itself, set before the claim
        shared = len(words & wanted) / max(1, len(wanted))
        if shared > best[0]:
            best = shared, Claim(text=sentence, span=Span(start=start, end=end))
    return best[1] if best[0] >= 0.3 else None


def _ramp(value: float, between: tuple[float, float]) -> float:
    low, high = between
    return float(min(1.0, max(0.0, (value - low) / (high - low))))
