"""What is read once of a source, so that many claims against it cost little."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from itertools import pairwise

from ragguard.alignment.checks.dates import Date, dates
from ragguard.alignment.checks.deeds import Deed, deeds, owned
from ragguard.alignment.checks.names import initials, names
from ragguard.alignment.checks.quantities import Quantity, quantities
from ragguard.alignment.checks.scopes import Word, scopes
from ragguard.alignment.checks.tokens import Reading, Token, read

LIST_LINK = re.compile(r"\s?(?:,\s?)?(?:and|or)?\s?", re.IGNORECASE)
_FEW = 20  # sentences looked at for a word that many hold
_HELD = 300
_RANKED = 8
WINDOW = 3  # consecutive sentences a claim may draw on


@dataclass(frozen=True)
class SourceFacts:
    """A source text with everything the checks look up in it, each part made on first use."""

    reading: Reading

    @classmethod
    def of(cls, source: str) -> SourceFacts:
        """Read a source; linear in its length."""
        return cls(read(source))

    @cached_property
    def sentences_with(self) -> dict[str, tuple[int, ...]]:
        """For each stem the sentences that hold it, in order."""
        found: dict[str, dict[int, None]] = {}
        for number, (first, last) in enumerate(self.reading.sentences):
            for token in self.reading.tokens[first:last]:
                if token.stem:
                    found.setdefault(token.stem, {})[number] = None
        return {stem: tuple(numbers) for stem, numbers in found.items()}

    @cached_property
    def words(self) -> frozenset[str]:
        """Every lower-case word."""
        return frozenset(token.low for token in self.reading.tokens if token.kind != "stop")

    @cached_property
    def stems(self) -> frozenset[str]:
        """Every stem of content."""
        return frozenset(self.sentences_with)

    @cached_property
    def sequences(self) -> tuple[frozenset[tuple[str, ...]], ...]:
        """The pairs and the triples of consecutive words, stemmed."""
        words = shapes(self.reading.tokens)
        return tuple(frozenset(zip(*(words[i:] for i in range(n)), strict=False)) for n in (2, 3))

    @cached_property
    def pairs_of_letters(self) -> frozenset[str]:
        """The triples of letters of all stems, for words that differ in their ending only."""
        return frozenset(piece for stem in self.stems for piece in letters(stem))

    @cached_property
    def places(self) -> dict[tuple[str, str], tuple[int, ...]]:
        """For each pair of consecutive words where it begins, in words; at most a few places."""
        words = shapes(self.reading.tokens)
        found: dict[tuple[str, str], list[int]] = {}
        for place, pair in enumerate(pairwise(words)):
            here = found.setdefault(pair, [])
            if len(here) < 8:
                here.append(place)
        return {pair: tuple(here) for pair, here in found.items()}

    @cached_property
    def dates(self) -> tuple[Date, ...]:
        """The dates, in order."""
        return tuple(dates(self.reading.text))

    @cached_property
    def quantities(self) -> tuple[Quantity, ...]:
        """The quantities, in order, dates left out."""
        return tuple(quantities(self.reading.text, self.dates))

    @cached_property
    def _quantities_by_sentence(self) -> dict[int, list[Quantity]]:
        found: dict[int, list[Quantity]] = {}
        for item in self.quantities:
            found.setdefault(self.reading.sentence_at(item.start), []).append(item)
        return found

    def quantities_in(self, sentence: int) -> Sequence[Quantity]:
        """The quantities of a sentence."""
        return self._quantities_by_sentence.get(sentence, ())

    def dates_in(self, sentence: int) -> list[Date]:
        """The dates of a sentence."""
        first, last = self.reading.sentences[sentence]
        start, end = self.reading.tokens[first].start, self.reading.tokens[last - 1].end
        low = bisect_left(self.dates, start, key=lambda date: date.start)
        high = bisect_left(self.dates, end, key=lambda date: date.start)
        return list(self.dates[low:high])

    def listed_with(self, item: Quantity) -> list[Quantity]:
        """The quantities of the same list: "85%, 86% and 89.4%"."""
        place = self.quantities.index(item)
        first = last = place
        while first > 0 and self._linked(first - 1):
            first -= 1
        while last + 1 < len(self.quantities) and self._linked(last):
            last += 1
        return list(self.quantities[first : last + 1])

    def _linked(self, place: int) -> bool:
        between = self.reading.text[self.quantities[place].end : self.quantities[place + 1].start]
        return LIST_LINK.fullmatch(between) is not None

    def scopes_in(self, sentence: int) -> tuple[Word, ...]:
        """The words of content of a sentence, and what is said of them."""
        if sentence not in self._scopes:
            first, last = self.reading.sentences[sentence]
            self._scopes[sentence] = tuple(scopes(self.reading.tokens[first:last]))
        return self._scopes[sentence]

    def said(self, stems: Collection[str]) -> list[Word]:
        """The words of these stems, with what is said of them, as far as the first few sentences that hold one."""
        return [word for stem in sorted(stems) for word in self._said_of(stem)]

    def _said_of(self, stem: str) -> list[Word]:
        if stem not in self._said:
            held = self.sentences_with.get(stem, ())[:_FEW]
            self._said[stem] = [word for n in held for word in self.scopes_in(n) if word.stem == stem]
        return self._said[stem]

    @cached_property
    def _said(self) -> dict[str, list[Word]]:
        return {}

    @cached_property
    def _scopes(self) -> dict[int, tuple[Word, ...]]:
        return {}

    @cached_property
    def deeds(self) -> dict[str, tuple[Deed, ...]]:
        """Who did what to whom, by verb."""
        found: dict[str, list[Deed]] = {}
        for first, last in self.reading.sentences:
            for deed in deeds(self.reading.tokens[first:last]):
                found.setdefault(deed.verb, []).append(deed)
        return {verb: tuple(items) for verb, items in found.items()}

    @cached_property
    def owners(self) -> dict[str, tuple[tuple[str, int, int], ...]]:
        """For each thing owned its (owner, start, end)."""
        found: dict[str, list[tuple[str, int, int]]] = {}
        for first, last in self.reading.sentences:
            for owner, thing, start, end in owned(self.reading.tokens[first:last]):
                found.setdefault(thing, []).append((owner, start, end))
        return {thing: tuple(items) for thing, items in found.items()}

    @cached_property
    def shapes(self) -> tuple[str, ...]:
        """All words in order as they are compared."""
        return tuple(shapes(self.reading.tokens))

    @cached_property
    def _first(self) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for token in self.reading.tokens:
            found.setdefault(token.low, (token.start, token.end))
            found.setdefault(token.shape, (token.start, token.end))
        return found

    def first_place(self, word: str) -> tuple[int | None, int | None]:
        """Where a word or stem stands first."""
        return self._first.get(word, (None, None))

    @cached_property
    def acronyms(self) -> frozenset[str]:
        """The words in capitals only."""
        return frozenset(
            t.text for t in self.reading.tokens if t.kind == "word" and t.text.isupper() and len(t.text) > 1
        )

    @cached_property
    def initials(self) -> dict[str, tuple[int, int]]:
        """The initials of each name of several words, and where it stands first."""
        found: dict[str, tuple[int, int]] = {}
        for name in names(self.reading):
            if len(name.words) > 1:
                found.setdefault(initials(name), (name.start, name.end))
        return found

    @cached_property
    def capitals_by_beginning(self) -> dict[str, frozenset[str]]:
        """The capitalised words, lower-cased, by their first four letters."""
        found: dict[str, set[str]] = {}
        for token in self.reading.tokens:
            if token.kind == "word" and token.text[0].isupper() and token.stem:
                found.setdefault(token.low[:4], set()).add(token.low)
        return {begun: frozenset(words) for begun, words in found.items()}

    def weight(self, stem: str) -> float:
        """How much a stem tells: less the more sentences hold it, more the longer it is."""
        held = len(self.sentences_with.get(stem, ()))
        share = held / max(len(self.reading.sentences), 1)
        return (2.0 if stem[:1].isdigit() else min(len(stem), 10) ** 0.5) * (1.0 - 0.5 * min(share, 1.0))

    def nearest(self, stems: Sequence[str], *, window: int = 1) -> tuple[int, float]:
        """Return (first sentence, weighted share of the stems held) of the best window."""
        ranked = self.ranked(stems, window=window)
        return ranked[0] if ranked else (0, 0.0)

    def ranked(self, stems: Sequence[str], *, window: int = 1) -> list[tuple[int, float]]:
        """Return the best windows that share a stem as (first sentence, weighted share), best first."""
        weights = {stem: self.weight(stem) for stem in stems}
        total = sum(weights.values())
        score: dict[int, float] = {}
        for stem, weight in weights.items():
            # A stem of many sentences tells little about which; counted in full below.
            held = self.sentences_with.get(stem, ())[:_HELD]
            for first in {n - back for n in held for back in range(window)}:
                if first >= 0:
                    score[first] = score.get(first, 0.0) + weight
        best = set(nsmallest(_RANKED, score, key=lambda first: (-score[first], first)))
        if score:  # where the common words were cut off, the rarest leads
            rarest = min(
                (s for s in weights if s in self.sentences_with), key=lambda s: len(self.sentences_with[s])
            )
            best.update(self.sentences_with[rarest][:_RANKED])
        exact = [(first, self._weight_in(weights, first, window) / total) for first in best]
        return sorted(exact, key=lambda item: (-item[1], item[0]))

    def together(self, one: str, two: str) -> bool:
        """Whether one of the first sentences that hold a stem holds the other too."""
        return any(two in self._stems_in[number] for number in self.sentences_with.get(one, ())[:_HELD])

    def _weight_in(self, weights: Mapping[str, float], first: int, window: int) -> float:
        sets = self._stems_in[first : first + window]
        return sum(weight for stem, weight in weights.items() if any(stem in found for found in sets))

    @cached_property
    def _stems_in(self) -> list[frozenset[str]]:
        tokens = self.reading.tokens
        return [frozenset(t.stem for t in tokens[a:b] if t.stem) for a, b in self.reading.sentences]


def shapes(tokens: Sequence[Token]) -> list[str]:
    """Return the words as they are compared: stems, or the word itself where it has none."""
    return [token.shape for token in tokens if token.kind not in ("stop", "clitic")]


def letters(stem: str) -> list[str]:
    """Return the triples of letters of a stem, its first letters marked."""
    marked = "^" + stem
    return [marked[i : i + 3] for i in range(len(marked) - 2)] or [marked]
