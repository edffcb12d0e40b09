"""Whether the source knows the claim's names: in full, in part, as initials, or another in their place."""

from __future__ import annotations

from collections.abc import Sequence

from ragguard.alignment.checks.findings import Finding
from ragguard.alignment.checks.names import TIMES, Name, initials
from ragguard.alignment.checks.setting import Setting
from ragguard.alignment.checks.tokens import Token

_COMMON_ENDINGS = ("ing", "ed", "ly", "s", "tion", "ment", "ness", "ity")
_NO_NAMES = frozenset(
    """
    since even although though despite however according thus hence during among many several
    following meanwhile additionally furthermore moreover finally instead unlike besides whereas
    maybe perhaps yes sure hello hi hey okay oh well people currently later today
    """.split()
)
_ACRONYM = range(2, 8)
_ALIKE = 4  # letters that "Norway" and "Norwegian" share


def known(setting: Setting, claimed: Sequence[Name]) -> list[tuple[Finding, float]]:
    """Return one finding for each name of the claim, with the share in [0, 1] of it the source knows."""
    return [judged for name in claimed if (judged := _judge(setting, name)) is not None]


def _judge(setting: Setting, name: Name) -> tuple[Finding, float] | None:
    source = setting.source
    held = [word.low in source.words or word.stem in source.stems for word in name.words]
    start, end = name.start, name.end
    if all(held):
        where = source.first_place(name.words[-1].low)
        return Finding("name", "agrees", start, end, *where, "the source names it"), 1.0
    if _first_of_sentence(setting, name) and len(name.words) == 1 and _common(setting, name.words[0]):
        return None
    short = initials(name) if len(name.words) > 1 else ""
    alias = source.first_place(short.lower()) if short in source.acronyms else None
    if len(name.words) == 1 and name.words[0].text.isupper() and len(name.words[0].text) in _ACRONYM:
        alias = source.initials.get(name.words[0].text)
    if alias:
        return Finding(
            "name", "agrees", start, end, *alias, "short for what the source names, or the reverse"
        ), 1.0
    alike = [h or _resembles(setting, word) for h, word in zip(held, name.words, strict=True)]
    if all(alike):
        return Finding("name", "agrees", start, end, None, None, "the source has a form of it"), 0.8
    rival = _rival(setting, name, [w for w, h in zip(name.words, alike, strict=True) if not h])
    if rival is not None:
        return rival, 0.0
    note = f"{setting.claim.text[start:end]} is not in the source"
    return Finding("name", "missing", start, end, None, None, note), 0.7 * sum(alike) / len(alike)


def _first_of_sentence(setting: Setting, name: Name) -> bool:
    first, _ = setting.claim.sentences[setting.claim.sentence_at(name.start)]
    return setting.claim.tokens[first].start == name.start


def _common(setting: Setting, word: Token) -> bool:
    """Whether a capital at the start of a sentence is no sign of a name."""
    return word.low in _NO_NAMES or word.low.endswith(_COMMON_ENDINGS) or not word.text.isalpha()


def _resembles(setting: Setting, word: Token) -> bool:
    """Whether the source has a capitalised word of the same beginning: Norway, Norwegian."""
    if len(word.low) < _ALIKE + 1:
        return False
    begun = setting.source.capitals_by_beginning.get(word.low[:_ALIKE], ())
    return any(abs(len(other) - len(word.low)) <= 4 for other in begun)


def _rival(setting: Setting, name: Name, absent: Sequence[Token]) -> Finding | None:
    """A name of the source that stands in this one's place."""
    mine = {token.low for token in setting.claim.tokens}
    starts = {word.start for word in absent}
    for swap in setting.swaps[setting.claim.sentence_at(name.start)]:
        theirs = swap.theirs
        if swap.mine.start not in starts or swap.framed < 2 or theirs.kind != "word":
            continue
        if theirs.text[0].isupper() and theirs.stem and theirs.low not in mine and theirs.low not in TIMES:
            note = f"claim says {swap.mine.text}, the source says {theirs.text}"
            return Finding("name", "conflicts", name.start, name.end, theirs.start, theirs.end, note)
    return None
