"""A claim beside the places of the source that speak of the same: what the checks compare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ragguard.alignment.checks.facts import SourceFacts
from ragguard.alignment.checks.names import TIMES
from ragguard.alignment.checks.scopes import Word, scopes
from ragguard.alignment.checks.swaps import Swap, swaps
from ragguard.alignment.checks.tokens import Reading, Token

_ENOUGH = 0.45  # weighted share of a claim sentence's words that makes a source sentence its place
_NEARLY = 0.8  # of the best share
_MOST = 3
SURE = 0.6  # the share from which a place may contradict the claim's words


@dataclass(frozen=True)
class Place:
    """A sentence of the source, and the weighted share in (0, 1] of the claim sentence's words it holds."""

    sentence: int
    share: float


@dataclass(frozen=True)
class Setting:
    """A claim, a source, and for each sentence of the claim its places in the source."""

    claim: Reading
    source: SourceFacts

    @cached_property
    def places(self) -> tuple[tuple[Place, ...], ...]:
        """For each sentence of the claim the sentences that share most of its words, best first."""
        return tuple(self._places(first, last) for first, last in self.claim.sentences)

    @cached_property
    def swaps(self) -> tuple[tuple[Swap, ...], ...]:
        """For each sentence of the claim its words that stand where a sure place has others."""
        return tuple(
            tuple(s for p in sure for s in swaps(self.claim_tokens(number), self.source_tokens(p.sentence)))
            for number, sure in enumerate(self.sure)
        )

    @cached_property
    def sure(self) -> tuple[tuple[Place, ...], ...]:
        """The places that hold so much of the sentence that they may contradict it."""
        return tuple(tuple(place for place in places if place.share >= SURE) for places in self.places)

    @cached_property
    def claim_scopes(self) -> tuple[tuple[Word, ...], ...]:
        """For each sentence of the claim its words of content."""
        return tuple(tuple(scopes(self.claim_tokens(number))) for number in range(len(self.claim.sentences)))

    def places_at(self, offset: int) -> tuple[Place, ...]:
        """The places of the claim's sentence that holds the character."""
        return self.places[self.claim.sentence_at(offset)] if self.places else ()

    def claim_tokens(self, sentence: int) -> tuple[Token, ...]:
        """The tokens of a sentence of the claim."""
        first, last = self.claim.sentences[sentence]
        return self.claim.tokens[first:last]

    def source_tokens(self, sentence: int) -> tuple[Token, ...]:
        """The tokens of a sentence of the source."""
        first, last = self.source.reading.sentences[sentence]
        return self.source.reading.tokens[first:last]

    def _places(self, first: int, last: int) -> tuple[Place, ...]:
        # A number or a date is what may be wrong: the words around it say where to look.
        tokens = self.claim.tokens[first:last]
        words = [t.stem for t in tokens if t.stem and t.kind != "number" and t.low not in TIMES]
        ranked = self.source.ranked(words)[:_MOST]
        return tuple(Place(n, s) for n, s in ranked if s >= _ENOUGH and s >= _NEARLY * ranked[0][1])
