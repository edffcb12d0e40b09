"""How many of the claim's words, and word sequences, the source holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from ragguard.alignment.checks.facts import WINDOW, SourceFacts, letters, shapes
from ragguard.alignment.checks.tokens import Reading, Token

OVERLAP = (
    "words",
    "words_somewhere",
    "words_in_window",
    "words_in_sentence",
    "words_weighted",
    "rarest_word",
    "known_words",
    "known_spellings",
    "pairs",
    "triples",
    "longest_run",
    "copied",
    "ordered",
    "focus",
    "bonds",
    "worst_sentence",
)


def overlap(claim: Reading, source: SourceFacts) -> dict[str, float]:
    """Return the features named in `OVERLAP`, all 1.0 for a claim without words."""
    all_words = shapes(claim.tokens)
    if not all_words:
        return dict.fromkeys(OVERLAP, 1.0)
    stems = [token.stem for token in claim.tokens if token.stem]
    per_sentence = [_sentence(claim.tokens[first:last], source) for first, last in claim.sentences]
    sizes = [max(size, 1) for size, *_ in per_sentence]
    means = [
        sum(s * v for s, v in zip(sizes, vs, strict=True)) / sum(sizes)
        for vs in zip(*(rest for _, *rest in per_sentence), strict=True)
    ]
    somewhere = [s in source.stems for s in stems]
    weights = [source.weight(s) for s in stems]
    missing = {s for s in stems if s not in source.stems}
    longest, copied = _runs(all_words, source)
    return {
        "words": sum(w in source.words or w in source.stems for w in all_words) / len(all_words),
        "words_somewhere": sum(somewhere) / len(stems) if stems else 1.0,
        "words_weighted": _share(weights, somewhere),
        "words_in_window": means[0],
        "words_in_sentence": means[1],
        "ordered": means[2],
        "focus": means[3],
        "bonds": _bonds(claim, source),
        "worst_sentence": min(values[1] for values in per_sentence),
        "rarest_word": 1.0 / (1.0 + max((source.weight(s) for s in missing), default=0.0)),
        "known_words": 1.0 / (1.0 + len(missing)),
        "known_spellings": _spellings(stems, source),
        "pairs": _sequences(all_words, source, 2),
        "triples": _sequences(all_words, source, 3),
        "longest_run": longest / len(all_words),
        "copied": copied / len(all_words),
    }


def _sentence(tokens: Sequence[Token], source: SourceFacts) -> tuple[float, ...]:
    """Return (content words, recall in window, recall in sentence, order kept, share of the sentence used)."""
    stems = [token.stem for token in tokens if token.stem]
    if not stems:
        return 0, 1.0, 1.0, 1.0, 1.0
    _, in_window = source.nearest(stems, window=WINDOW)
    number, in_sentence = source.nearest(stems)
    if not in_sentence:
        return len(stems), 0.0, 0.0, 0.0, 0.0
    first, last = source.reading.sentences[number]
    theirs = source.reading.tokens[first:last]
    mine, other = shapes(tokens), shapes(theirs)
    kept = _common(mine, other) / len(mine)
    content = {token.stem for token in theirs if token.stem}
    return len(stems), in_window, in_sentence, kept, len(content & set(stems)) / max(len(content), 1)


def _common(mine: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, one bit a word of `other`."""
    at: dict[str, int] = {}
    for place, word in enumerate(other):
        at[word] = at.get(word, 0) | 1 << place
    row = full = (1 << len(other)) - 1
    for word in mine:
        matches = at.get(word, 0) & row
        row = ((row + matches) | (row - matches)) & full
    return len(other) - row.bit_count()


def _runs(words: Sequence[str], source: SourceFacts) -> tuple[int, int]:
    """Return (longest run of words found in the source, words in runs of two and more), greedily."""
    longest = copied = place = 0
    theirs = source.shapes
    while place < len(words):
        here = 1 if words[place] in source.words or words[place] in source.stems else 0
        for start in source.places.get((words[place], words[min(place + 1, len(words) - 1)]), ()):
            size = 0
            while (
                place + size < len(words)
                and start + size < len(theirs)
                and words[place + size] == theirs[start + size]
            ):
                size += 1
            here = max(here, size)
        longest = max(longest, here)
        copied += here if here > 1 or len(words) == 1 else 0
        place += max(here, 1)
    return longest, copied


def _sequences(words: Sequence[str], source: SourceFacts, size: int) -> float:
    asked = list(zip(*(words[i:] for i in range(size)), strict=False))
    return sum(item in source.sequences[size - 2] for item in asked) / len(asked) if asked else 1.0


def _bonds(claim: Reading, source: SourceFacts) -> float:
    """The share of neighbouring content words that one sentence of the source holds together."""
    pairs = Counter(
        pair
        for first, last in claim.sentences
        for pair in pairwise(token.stem for token in claim.tokens[first:last] if token.stem)
    )
    kept = sum(n for (one, two), n in pairs.items() if source.together(one, two))
    return kept / pairs.total() if pairs else 1.0


def _spellings(stems: Sequence[str], source: SourceFacts) -> float:
    """The share of the content words whose letters the source has, endings aside."""
    known = 0.0
    for stem in stems:
        if stem in source.stems:
            known += 1.0
        elif not stem[0].isdigit():
            pieces = letters(stem)
            known += sum(piece in source.pairs_of_letters for piece in pieces) / len(pieces) * 0.5
    return known / len(stems) if stems else 1.0


def _share(weights: Sequence[float], held: Sequence[bool]) -> float:
    total = sum(weights)
    return sum(w for w, h in zip(weights, held, strict=True) if h) / total if total else 1.0
