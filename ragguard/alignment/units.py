"""What the model is given to read for each claim.

A claim is a range of the answer, but "Paris." or "He left." says nothing when read
alone. An answer of a few words is read after its question, which is how the model
saw answers in training; a sentence that begins with a pronoun is read after the
one that names what it speaks of. The bare claim stays at hand in `alternatives`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import name

from ragguard.alignment.clauses import says_something
from ragguard.types import Claim

_SHORT_WORDS, _SHORT_UNSPACED = 8, 12
_ANTECEDENT_WORDS = 60
_LOOK_BACK = 3
_YES_NO = re.compile(
    r"(?:yes|no|yeah|yep|nope|true|false|correct|incorrect|right|wrong|indeed|never|always|sometimes)\b(?!\.?\s*\d)",
    re.IGNORECASE,
)
_PRONOUN = (
    r"(?:he|she|it|they|him|them|his|hers|her|its|their|theirs|this|that|these|those|both|neither|such"
    r"|the (?:former|latter|same|two)|(?:one|some|all|most|none) of (?:them|these|those|which))\b"
)
# What may stand before the pronoun: "However, it", "In 1987, its", "After the war, they".
_OPENING = (
    r"(?:(?:and|but|or|so|also|then|yet|because|while|although|though|since|if|when|after|before)\s+)?"
    r"(?:(?:\w+ly|also|however|moreover|furthermore|then|later|still|instead|thus|hence|therefore|today|now|yet|first"
    r"|second|third|besides|meanwhile|nevertheless|nonetheless"
    r"|(?:in|on|at|after|before|during|by|since|for|from|with|as|under|until)(?:\s+\w+){1,4}),\s+)?"
)
_LEADS = re.compile(rf"\W*+{_OPENING}(?:{_PRONOUN}|(?:who|which|whose)\b)", re.IGNORECASE)
_EXPLETIVE = re.compile(
    r"\W*+it\s+(?:is|was|has been|seems|appears|turns out|follows)\s+(?:\w+\s+){0,2}?(?:that|to)\b",
    re.IGNORECASE,
)
_BARE_DECORATION = " \t\r\n*_`\"'“”‘’«»"

_ENGLISH = frozenset(
    """
    the of and to in is was for that it on as with by are be at from this have an which or not were has had
    but their his her they he she you we its been will would can could there what who when if than then
    """.split()
)
_FOREIGN = frozenset(
    """
    der die das und ist nicht ein eine den dem von mit auf für sich im des le la les et est une des du dans
    que qui pas pour sur avec il elle el los las y en es una por con para del se su il lo gli che di non per
    sono della het een van niet zijn op voor met dat o os um uma não com og af på til att och är som det den
    w na jest nie się ve bir bu ile için
    """.split()
)
_OF_A_NAME = re.compile(r"\b(?:(?:van|von|de|del|den|der|des|du|la|le|di|da|el|dos)\s+)+(?=[A-Z])")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Unit:
    """One claim and what is read for it.

    Attributes:
        claim: as it stands in the answer.
        text: what the model reads.
        alternatives: other readings of it, the bare claim among them where `text` is not that.
        calibrated: False when the claim is not in English, which scores and thresholds were fitted on.
    """

    claim: Claim
    text: str
    alternatives: tuple[str, ...] = ()
    calibrated: bool = True


def units(claims: Sequence[Claim], *, question: str = "") -> list[Unit]:
    """Return what is read for each claim, in order.

    Args:
        claims: of one answer, in its order.
        question: what it answers; "" leaves short answers as they are.

    Example:
        >>> from ragguard.alignment.claims import split_claims
        >>> [u.text for u in units(split_claims("Ada Li. She left."), question="Who founded Acme?")]
        ['Who founded Acme? Ada Li.', 'Ada Li. She left.']
    """
    question = " ".join(question.split())
    return [_unit(claims, place, question) for place in range(len(claims))]


def is_short_answer(text: str) -> bool:
    """Return whether it answers a question without being a sentence: "Paris.", "Yes, in 1987."."""
    bare = text.strip(_BARE_DECORATION)
    if _YES_NO.match(bare):
        return len(bare.split()) <= _SHORT_WORDS
    if script_of(bare) in _UNSPACED:
        return len(bare) <= _SHORT_UNSPACED
    words = bare.split(None, 1)
    # "Founded in 1987", "Is stable": a verb without anyone who does it answers, but says nothing alone.
    return len(bare.split()) <= _SHORT_WORDS and not (len(words) > 1 and says_something(words[1]))


def leans_on_another(text: str) -> bool:
    """Return whether it begins with a pronoun or a demonstrative: "He left.", "In 1987, its price fell."."""
    return _LEADS.match(text) is not None and _EXPLETIVE.match(text) is None


def script_of(text: str) -> str:
    """Return the script most letters are of, in lower case, as Unicode names it; "" without letters.

    Example:
        >>> script_of("Paris"), script_of("巴黎"), script_of("Париж"), script_of("5.")
        ('latin', 'cjk', 'cyrillic', '')
    """
    counts: dict[str, int] = {}
    for ch in text:
        if ch.isalpha():
            script = (
                "latin" if ch.isascii() else name(ch, "unknown").split(maxsplit=1)[0].split("-")[0].lower()
            )
            counts[script] = counts.get(script, 0) + 1
    return max(counts, key=lambda script: counts[script], default="")


def seems_english(text: str) -> bool:
    """Return whether nothing speaks against English: Latin letters or none, and not another language's small words.

    A name or a figure passes: it reads the same in many languages.
    """
    if script_of(text) not in ("latin", ""):
        return False
    words = {word.lower() for word in _WORD.findall(_OF_A_NAME.sub("", text))}
    return len(words & _ENGLISH) >= len(words & _FOREIGN)


_UNSPACED = frozenset(("cjk", "hiragana", "katakana", "thai", "lao", "khmer", "myanmar", "hangul"))


def _unit(claims: Sequence[Claim], place: int, question: str) -> Unit:
    claim = claims[place]
    bare = _readable(claim.text)
    others = [bare] if bare == claim.text else [bare, claim.text]
    text = _in_context(claims, place, bare, question)
    calibrated = seems_english(claim.text)
    if text == bare:
        return Unit(claim, bare, tuple(others[1:]), calibrated)
    return Unit(claim, text, tuple(others), calibrated)


def _in_context(claims: Sequence[Claim], place: int, bare: str, question: str) -> str:
    if question and is_short_answer(bare):
        return f"{question} {bare}"
    if not leans_on_another(bare):
        return bare
    before = _antecedent(claims, place) or question
    return f"{before} {bare}" if before else bare


def _antecedent(claims: Sequence[Claim], place: int) -> str:
    """The nearest claim before that stands by itself; "" where there is none near, or it is too long."""
    for earlier in reversed(claims[max(0, place - _LOOK_BACK) : place]):
        text = _readable(earlier.text)
        if not leans_on_another(text) and _YES_NO.match(text) is None:
            words = text.split()
            return " ".join(words) if len(words) <= _ANTECEDENT_WORDS else ""
    return ""


def _readable(text: str) -> str:
    """The claim less the bars of a table row, and with its white space as blanks."""
    if text.startswith("|"):  # "int | None" is no row
        text = "; ".join(cell.strip() for cell in text.strip().strip("|").split("|") if cell.strip())
    return " ".join(text.split())
