"""A text as tokens with stems, offsets and sentences: what every check reads.

A number in words or digits is one token in canonical form, so that "twelve
hundred" and "1,200" are the same word to every overlap. Scripts without spaces
are read letter by letter.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from ragguard.alignment.numbers import mentions
from ragguard.text.sentences import sentence_spans
from ragguard.text.words import content_words

_LONGEST_SENTENCE = 60  # tokens; a table or a log without stops is cut
_LONGEST_WORD = 40  # letters that count
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(
    rf"(?P<letter>[{_UNSPACED}])"
    # "don't", and "don ' t" as tokenised corpora write it.
    rf"|(?P<word>[^\W\d_{_UNSPACED}]++(?:\s?['\u2019]\s?t\b)?)"
    r"|(?P<clitic>['\u2019]\s?(?:s|re|ve|ll|d|m)\b)"
    r"|(?P<digits>\d++)"
    r"|(?P<stop>[.,;:!?()\[\]\u2013\u2014\"\u201c\u201d\u3002\uff0c]|(?<=\s)-(?=\s))",
    re.IGNORECASE,
)
_IRREGULAR = {
    form: base
    for base, forms in (
        line.split(":")
        for line in """
        begin:began begun;break:broke broken;bring:brought;build:built;buy:bought;catch:caught;choose:chose chosen
        come:came;die:died dying;draw:drew drawn;drive:drove driven;eat:ate eaten;fall:fell fallen;feel:felt
        fight:fought;find:found;fly:flew flown;forget:forgot forgotten;grow:grew grown;hear:heard;hide:hid hidden
        hold:held;know:knew known;lead:led;leave:left;lend:lent;lose:lost;marry:married;mean:meant;meet:met;pay:paid
        ride:rode ridden;ring:rang rung;rise:rose risen;run:ran;see:saw seen;seek:sought;sell:sold;send:sent
        shoot:shot;sing:sang sung;sink:sank sunk;sit:sat;sleep:slept;speak:spoke spoken;spend:spent;stand:stood
        steal:stole stolen;swim:swam swum;teach:taught;tell:told;think:thought;throw:threw thrown;understand:understood
        wear:wore worn;win:won;write:wrote written;man:men;woman:women;child:children;person:people;foot:feet
        """.replace("\n", ";").split(";")
        if line.strip()
    )
    for form in forms.split()
    for base in (base.strip(),)
}


class Token(NamedTuple):
    """One word, number or punctuation mark; `stem` is empty where it carries no content."""

    text: str
    low: str
    stem: str
    start: int
    end: int
    kind: str  # word | letter | number | clitic | stop

    @property
    def shape(self) -> str:
        """What is compared where order counts: the stem, or the word where it has none."""
        return self.stem or self.low


@dataclass(frozen=True)
class Reading:
    """A text, its tokens in order, and its sentences as half-open ranges of tokens."""

    text: str
    tokens: tuple[Token, ...]
    sentences: tuple[tuple[int, int], ...]

    def sentence_at(self, offset: int) -> int:
        """The number of the sentence that holds the character; the nearest before it otherwise."""
        return max(bisect_right(self._starts, offset) - 1, 0)

    @cached_property
    def _starts(self) -> list[int]:
        return [self.tokens[first].start for first, _ in self.sentences]

    def cased(self) -> bool:
        """Whether capitals tell names apart: some words begin with one, most do not."""
        words = [t.text[0].isupper() for t in self.tokens if t.kind == "word"]
        return any(words) and sum(words) < 0.7 * len(words) + 3


def read(text: str) -> Reading:
    """Return the text's tokens and sentences, in time linear in its length."""
    tokens: list[Token] = []
    sentences: list[tuple[int, int]] = []
    borders = [end for _, end in sentence_spans(text)]
    first = place = 0
    for token in _tokens(text):
        while place < len(borders) and token.start >= borders[place]:
            place += 1
            if len(tokens) > first:
                sentences.append((first, len(tokens)))
                first = len(tokens)
        if len(tokens) - first >= _LONGEST_SENTENCE:
            sentences.append((first, len(tokens)))
            first = len(tokens)
        tokens.append(token)
    if len(tokens) > first:
        sentences.append((first, len(tokens)))
    return Reading(text, tuple(tokens), tuple(sentences))


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Return the stem of a lower-case word, irregular forms by their base; "" for one without content."""
    return next(iter(content_words(_IRREGULAR.get(word, word))), "")


def _tokens(text: str) -> Iterator[Token]:
    numbers = iter(mentions(text))
    number = next(numbers, None)
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        while number is not None and number.end <= start:
            yield Token(
                number.shown, number.shown.lower(), number.canonical, number.start, number.end, "number"
            )
            number = next(numbers, None)
        if number is not None and start >= number.start:
            continue
        kind = match.lastgroup or ""
        shown = match.group()
        low = shown.lower().replace("\u2019", "'")
        if kind == "word":
            low = "".join(low.split())[:_LONGEST_WORD]
            content = "" if low.endswith(("n't", "'t")) else stem(low)
            yield Token(shown, low, content, start, end, kind)
        elif kind == "digits":
            yield Token(shown, low, low[:_LONGEST_WORD], start, end, "number")
        else:
            yield Token(shown, "".join(low.split()), shown if kind == "letter" else "", start, end, kind)
    while number is not None:
        yield Token(number.shown, number.shown.lower(), number.canonical, number.start, number.end, "number")
        number = next(numbers, None)
