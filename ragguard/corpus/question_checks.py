"""What makes a question usable: an answer that can be found, and no pointing at "the passage".

Texts are compared in a normal form that never leaves this module; the offsets
returned count characters of the passage as it stands.
"""

from __future__ import annotations

import re
import unicodedata

from ragguard.text.words import content_words
from ragguard.types import Span

_FEWEST_WORDS = 3
_LEAST_AGREEMENT = 0.5
_END_MARKS = "?!. \u3002\uff1f\uff01\u061f"
_WORD = re.compile(r"[^\W_]+(?:\+\+|#)?")  # C, C++ and C# are three answers
_NUMBER = re.compile(r"(?<!\w)[-\u2212]?\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)*")
_NEGATION = re.compile(r"\b(?:no|not|never|none|nor|neither|without|cannot|\w+n['\u2019]t)\b", re.IGNORECASE)
_QUOTES = "\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb"

_TEXT = r"(?:(?:passage|text|document|paragraph|excerpt|extract|snippet)s?|article)"
_POINTING = re.compile(
    # English, then German, French, Spanish and Portuguese, Italian.
    rf"\b(?:the|this|that|these|those|your)\s+(?:(?:above|below|given|following|provided|preceding|quoted|"
    rf"source|previous|same|supplied)\s+)?{_TEXT}\b"
    r"|\b(?:this|given|above|provided|following|supplied)\s+context\b"
    r"|\b(?:mentioned|described|stated|listed|given|shown|discussed|provided|quoted)\s+(?:above|below|here)\b"
    r"|\bthe\s+(?:above|following)\b|\baccording\s+to\s+the\s+author\b"
    r"|\b(?:der|die|das|dem|den|des|dieser|dieses|diesem|diesen|im|laut|obige[nmrs]?)\s+(?:obigen?\s+)?"
    r"(?:text|textes|texts|textabschnitt\w*|abschnitt\w*|textstelle|passage|absatz\w*|auszug\w*|dokument\w*)\b"
    r"|\boben\s+(?:genannt|erw\u00e4hnt|beschrieben)\w*"
    r"|\b(?:le|ce|du|cet|cette|la)\s+(?:texte|passage|document|paragraphe|extrait|article)\b|\bci-dessus\b"
    r"|\b(?:el|este|del|o|do|no|neste|deste)\s+(?:texto|pasaje|documento|p\u00e1rrafo|fragmento|trecho|"
    r"par\u00e1grafo|art[i\u00ed]culo|artigo)\b"
    r"|\b(?:il|nel|del|questo|quel)\s+(?:testo|brano|documento|paragrafo|passaggio)\b",
    re.IGNORECASE,
)


def question_key(question: str) -> str:
    """Return what two questions share when they differ in case, white space and end mark alone."""
    return " ".join(unicodedata.normalize("NFKC", question).casefold().split()).rstrip(_END_MARKS)


def refers_to_passage(question: str) -> bool:
    """True when the question points at a passage its reader cannot see ("in the text above").

    Phrases of English, German, French, Spanish, Portuguese and Italian are known.
    A few questions about texts as such are caught too; another is then asked.
    """
    return _POINTING.search(question) is not None


def too_short(question: str) -> bool:
    """True for fewer than three words, or as many letters where a script has no spaces."""
    words = _WORD.findall(question)
    unspaced = sum(len(word) for word in words if not _has_case(word))
    return len(words) < _FEWEST_WORDS and unspaced < _FEWEST_WORDS


def locate_answer(answer: str, passage: str) -> Span | None:
    """Return where the answer stands in the passage, or None.

    Any run of white space matches any other, quotation marks around the answer and
    a full stop after it may be missing from the passage, and an answer is never
    found inside a longer word or number. The first place counts.
    """
    for candidate in (answer, answer.strip().strip(_QUOTES), answer.strip().strip(_QUOTES).rstrip(".")):
        words = candidate.split()
        if not words:
            continue
        for match in re.finditer(r"\s+".join(map(re.escape, words)), passage):
            if not _inside_word(passage, match.start(), match.end()):
                return Span(start=match.start(), end=match.end())
    return None


def holds_answer(passage: str, answer: str) -> bool:
    """True when the answer stands in the passage, case aside."""
    return (
        locate_answer(answer, passage) is not None
        or locate_answer(answer.casefold(), passage.casefold()) is not None
    )


def answers_agree(one: str, other: str) -> bool:
    """True when two answers say the same: one contains the other, or most content words are shared.

    Numbers and negations must agree in either case: "5 mg" is not "5.5 mg",
    "allowed" is not "not allowed". English negations alone are known.
    """
    a, b = _normal_form(one), _normal_form(other)
    numbers_a, numbers_b = set(_NUMBER.findall(one)), set(_NUMBER.findall(other))
    if not a or not b or not (numbers_a <= numbers_b or numbers_b <= numbers_a):
        return False
    if a == b:
        return numbers_a == numbers_b
    if bool(_NEGATION.search(one)) != bool(_NEGATION.search(other)):
        return False
    shorter, longer = sorted((a, b), key=len)
    if _holds(longer, shorter):
        return bool(content_words(shorter)) or not shorter.isascii()
    if numbers_a != numbers_b:
        return False
    words_a, words_b = content_words(one), content_words(other)
    shared = 2 * len(words_a & words_b)
    return shared > 0 and shared / (len(words_a) + len(words_b)) >= _LEAST_AGREEMENT


def _normal_form(text: str) -> str:
    """The words of a text in lower case, one space between them, marks left out."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _holds(longer: str, shorter: str) -> bool:
    at = longer.find(shorter)
    while at >= 0:
        if not _inside_word(longer, at, at + len(shorter)):
            return True
        at = longer.find(shorter, at + 1)
    return False


def _inside_word(text: str, start: int, end: int) -> bool:
    return _joined(text, start) or _joined(text, end)


def _joined(text: str, at: int) -> bool:
    """True when the characters before and at a place belong to one word or number."""
    return 0 < at < len(text) and _spells(text[at - 1]) and _spells(text[at])


def _spells(character: str) -> bool:
    # Letters without case (Chinese, Thai) run on without spaces, so any place is a border.
    return character.isdigit() or _has_case(character)


def _has_case(text: str) -> bool:
    return text.lower() != text.upper()
