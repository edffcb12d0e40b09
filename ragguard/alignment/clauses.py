"""The clauses of a claim, with their places: what of it can be wrong by itself.

Rules of English: a joint ("and", "but", ";", ", which") parts two clauses when each
side says something of its own, that is, holds a finite verb. In doubt a claim
stays whole: clauses only name the smallest piece that fails, they are not judged
in the claim's stead.
"""

from __future__ import annotations

import re

from ragguard.text.sentences import trimmed
from ragguard.types import Span

_JOINT = re.compile(
    r"(?<!\s)\s*;\s+|(?<!\s),?\s+(?:and(?:\s+(?:then|also|so))?|but|yet|while|whereas|although|though|because|so\s+that"
    r"|before|after|until|unless)\s+|,\s+(?=(?:which|who|whose|where|when)\b)|(?<!\s)\s+[\u2013\u2014]\s+",
    re.IGNORECASE,
)
_LONGEST = 2000
_RELATIVE = re.compile(r"(?:which|who|whose|where|when)\b", re.IGNORECASE)
_AUXILIARY = re.compile(
    r"\b(?:am|is|are|was|were|has|have|had|do|does|did|can|could|will|would|shall|should|may|might|must"
    r"|cannot|(?:is|are|was|were|has|have|had|do|does|did|ca|could|wo|would|should)n['\u2019]t)\b"
    r"|\b(?:i|we|you|they|he|she|it|that|who|there)['\u2019](?:s|re|ve|ll|d|m)\b",
    re.IGNORECASE,
)
_PAST = (
    r"ate|beat|became|began|bent|bit|blew|bore|bought|bound|broke|brought|built|burnt|came|caught|chose|cost|cut"
    r"|dealt|died|drew|drove|dug|fed|fell|felt|fled|flew|fought|found|froze|gave|got|grew|heard|held|hid|hit"
    r"|hung|hurt|kept|knew|laid|lay|led|left|lent|let|lost|made|meant|met|paid|put|quit|ran|rang|read|rode|rose"
    r"|said|sang|sank|sat|saw|sent|set|shot|shut|slept|sold|sought|spent|split|spoke|spread|sprang|stole|stood"
    r"|struck|stuck|swam|swore|taught|thought|threw|told|took|tore|understood|went|woke|won|wore|wrote"
)
_PRESENT = (
    r"allows?|applies|apply|begins?|belongs?|causes?|comes?|contains?|costs?|covers?|exists?|gives?|goes|grows?"
    r"|happens?|helps?|holds?|includes?|keeps?|lies|lives?|loses?|makes?|means?|needs?|offers?|opens?|owns?"
    r"|provides?|remains?|requires?|returns?|runs?|says?|sells?|sorts?|stands?|starts?|stops?|takes?|treats?"
    r"|uses?|wants?|wins?|works?"
)
_VERB = re.compile(
    rf"(?<![-\w])(?:{_PAST}|{_PRESENT}|(?!(?:bed|red|need|seed|speed|hundred|indeed)\b)\w{{2,}}ed)\b",
    re.IGNORECASE,
)
# "Ada leads Acme": a word in -s after a name or a pronoun, before something else.
_THIRD_PERSON = re.compile(
    r"(?:^|[\s(])(?:it|he|she|this|that|which|who|(?-i:[A-Z])[\w.'\u2019-]*)\s+(?!(?-i:[A-Z]))\w{2,}[^s\W]s(?=\s+\w)",
    re.IGNORECASE,
)


def clauses(text: str) -> list[Span]:
    """Return the clauses of a claim, in order, as ranges of its text; one where it cannot be parted.

    Between two of them only the joint is left out ("and", ";"); "which" and "who" stay
    with what they begin.

    Example:
        >>> text = "Ada founded Acme in Oslo and sold it in 1987."
        >>> [text[c.start : c.end] for c in clauses(text)]
        ['Ada founded Acme in Oslo', 'sold it in 1987.']
    """
    found, start = [], 0
    for joint in _JOINT.finditer(text) if len(text) <= _LONGEST else ():
        left = text[start : joint.start()]
        right = text[joint.end() : _next_joint(text, joint.end())]
        if says_something(left) and says_something(right) and not _inside_quotes(text, joint.start()):
            found.append((start, joint.start()))
            start = joint.end()
    found.append((start, len(text)))
    ranges = [trimmed(text, a, b) for a, b in found]
    return [Span(start=a, end=b) for a, b in ranges if b > a]


def says_something(text: str) -> bool:
    """Return whether a piece of English holds a finite verb, as far as its words show it."""
    return any(pattern.search(text) for pattern in (_AUXILIARY, _VERB, _THIRD_PERSON))


def _next_joint(text: str, start: int) -> int:
    """The end of what a joint leads to: the next joint, after the pronoun that begins a relative clause."""
    relative = _RELATIVE.match(text, start)
    following = _JOINT.search(text, relative.end() if relative else start)
    return following.start() if following else len(text)


def _inside_quotes(text: str, place: int) -> bool:
    before = text[:place]
    return before.count('"') % 2 == 1 or before.count("\u201c") > before.count("\u201d")
