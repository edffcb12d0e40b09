"""Conflict by meaning: what says in other words what `deny` says, and what contradicts a policy.

Likeness to `deny` alone would refuse every text about the same things. It is
compared with likeness to `trusted`:

    raw = near(deny) - NET * max(0, near(trusted) - SUPPORT)
    conflict = 1 / (1 + exp(-(raw - CENTRE) / WIDTH))

`near` is the cosine to the nearest unit. Trusted text supports from `SUPPORT` on
only: below that everything resembles everything a little, and to subtract it (the plain
difference) made benign answers to new questions look worse than they are.

The aligner then reads what comes near, in both directions: does the passage contradict
the answer, or the answer the passage? Then the answer does not pass on what is denied,
it says the opposite ("the canteen is no longer the meeting point"), and its conflict counts
`DOUBT` of itself. Support by the aligner raises nothing: on the project's own texts it
supported near misses more often than paraphrases.

Policy clauses: a sentence conflicts as far as the aligner says that a clause near to it
contradicts it, or it comes near to an example of what the clause forbids, net of
the clauses' own words.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import GuardError, InvalidValueError
from ragguard.protocols import Aligner, Embedder, FloatArray
from ragguard.trace.belief import Belief, Frequencies, Kind, conflict_index, specificity
from ragguard.trace.corpus import Occurrence
from ragguard.trace.index import TraceIndex
from ragguard.trace.policy import PolicyClause
from ragguard.trace.tokens import tokenise
from ragguard.trace.units import Unit
from ragguard.trace.vectors import CorpusVectors
from ragguard.types import Claim, Evidence, Passage, Span

VERSION = 1
NET, SUPPORT = 2.5, 0.55
CENTRE, WIDTH = 0.6, 0.06
CONFIRM_FROM = 0.1
"""Conflict from which on the aligner is asked; below, its answer could not matter."""
DOUBT = 0.25
NEAR_CLAUSES, NEAR_FROM = 3, 0.2
_CONTRADICTS = ("contradicted", "conflicting")


def semantic_conflict(deny: NDArray[np.float64], trusted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the conflict of units with these similarities to the nearest denied and trusted units."""
    raw = deny - NET * np.maximum(0.0, trusted - SUPPORT)
    conflict: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-(raw - CENTRE) / WIDTH))
    return np.where(deny < 0, 0.0, conflict)


class DenyMeaning:
    """Finds paraphrases of a deny corpus.

    Args:
        index: for the text of passages that the aligner reads, and word statistics.
        deny, trusted: their vectors; without trusted nothing is supported.
        aligner: None leaves likeness unconfirmed.
    """

    def __init__(
        self,
        index: TraceIndex,
        deny: CorpusVectors,
        trusted: CorpusVectors | None,
        aligner: Aligner | None,
    ) -> None:
        self._index, self._deny, self._trusted, self._aligner = index, deny, trusted, aligner

    def beliefs(
        self, text: str, units: Sequence[Unit], vectors: FloatArray, *, without: Collection[str] = ()
    ) -> list[Belief]:
        """Return one belief a unit.

        Args:
            text: the whole text.
            units: of it.
            vectors: one a unit.
            without: ids of trusted documents that support nothing.
        """
        near, at = self._deny.nearest(vectors)
        support = (
            np.full(len(units), -1.0)
            if self._trusted is None
            else self._trusted.nearest(vectors, without=without)[0]
        )
        conflict = semantic_conflict(near, support)
        found = []
        for unit, value, source in zip(units, conflict.tolist(), at.tolist(), strict=True):
            if source < 0:
                continue
            place = self._deny.place(source)
            if value >= CONFIRM_FROM and self._aligner is not None and self._opposed(text, unit, place):
                value *= DOUBT
            found.append(
                _belief(text, unit, value, "semantic", "deny", self._index.unigrams, occurrences=(place,))
            )
        return found

    def _opposed(self, text: str, unit: Unit, place: Occurrence) -> bool:
        """Whether the unit and the passage contradict one another, whichever is held against the other."""
        ours = text[unit.read.start : unit.read.end]
        document = self._index.corpora["deny"].document(place.document).text
        theirs = document[place.span.start : place.span.end]
        judged = (_judged(self._aligner, ours, theirs), _judged(self._aligner, theirs, ours))
        return any(evidence.outcome in _CONTRADICTS for evidence in judged)


class PolicyMeaning:
    """Finds sentences that conflict with a policy clause.

    Args:
        clauses: at least one.
        embedder: of clauses and examples; they are embedded at the first use.
        aligner: says what contradicts what.
        frequencies: over all corpora.
    """

    def __init__(
        self,
        clauses: Sequence[PolicyClause],
        embedder: Embedder,
        aligner: Aligner,
        frequencies: Frequencies,
    ) -> None:
        self._clauses, self._embedder, self._aligner = tuple(clauses), embedder, aligner
        self._frequencies = frequencies
        self._own: FloatArray | None = None
        self._examples: FloatArray | None = None
        self._of = np.array([n for n, c in enumerate(self._clauses) for _ in c.examples], dtype=np.int64)

    def beliefs(self, text: str, units: Sequence[Unit], vectors: FloatArray) -> list[Belief]:
        """Return one belief a sentence and clause near to it."""
        own, examples = self._vectors()
        found = []
        for unit, vector in zip(units, vectors, strict=True):
            if unit.window:
                continue
            near = np.asarray(own @ vector, dtype=np.float64)
            likeness = self._likeness(examples, vector, near)
            for number in np.argsort(-np.maximum(near, likeness), kind="stable")[:NEAR_CLAUSES].tolist():
                if near[number] < NEAR_FROM and likeness[number] < CONFIRM_FROM:
                    continue
                clause = self._clauses[number]
                against = self._contradicted(text, unit, clause)
                conflict = clause.severity * max(against, float(likeness[number]))
                found.append(
                    _belief(text, unit, conflict, "policy", "policy", self._frequencies, clause=clause.id)
                )
        return found

    def _likeness(
        self, examples: FloatArray, vector: FloatArray, near: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """How far the sentence is like an example of each clause, rather than like the clause itself."""
        most = np.full(len(self._clauses), -1.0)
        if len(examples):
            np.maximum.at(most, self._of, np.asarray(examples @ vector, dtype=np.float64))
        return semantic_conflict(most, near)

    def _contradicted(self, text: str, unit: Unit, clause: PolicyClause) -> float:
        evidence = _judged(self._aligner, text[unit.read.start : unit.read.end], clause.text)
        if evidence.outcome not in _CONTRADICTS or evidence.score is None:
            return 0.0
        return 1.0 - evidence.score

    def _vectors(self) -> tuple[FloatArray, FloatArray]:
        if self._own is None or self._examples is None:
            self._own = self._embedder.embed_passages([clause.text for clause in self._clauses])
            texts = [example for clause in self._clauses for example in clause.examples]
            self._examples = self._embedder.embed_passages(texts) if texts else self._own[:0]
        return self._own, self._examples


def _judged(aligner: Aligner | None, claim: str, passage: str) -> Evidence:
    if aligner is None:
        raise InvalidValueError("there is no aligner to ask")
    whole = Claim(text=claim, span=Span(start=0, end=len(claim)))
    evidence = aligner.align([whole], [Passage(id="source", text=passage)])
    if len(evidence) != 1:
        raise GuardError("the aligner must return one evidence a claim", details={"evidence": len(evidence)})
    score = evidence[0].score
    if score is not None and not 0 <= score <= 1:  # NaN too
        raise GuardError("the aligner's score is not in [0, 1]")
    return evidence[0]


def _belief(
    text: str,
    unit: Unit,
    conflict: float,
    kind: Kind,
    label: str,
    frequencies: Frequencies,
    *,
    occurrences: tuple[Occurrence, ...] = (),
    clause: str | None = None,
) -> Belief:
    told = specificity(frequencies, tokenise(text[unit.read.start : unit.read.end]).words)
    return Belief(
        span=unit.said,
        specificity=told.total,
        per_token=told.per_token,
        kl=told.kl,
        conflict=conflict,
        bci=conflict_index(conflict, told),
        kind=kind,
        label=label,
        occurrences=occurrences,
        count=len(occurrences),
        clause=clause,
    )
