"""Words whose opposite the source has in their place."""

from __future__ import annotations

from collections.abc import Sequence

from ragguard.alignment.checks.findings import Finding
from ragguard.alignment.checks.setting import SURE, Place, Setting
from ragguard.alignment.checks.swaps import Swap
from ragguard.alignment.checks.tokens import stem

_PAIRS = """
good bad; good poor; maximize minimize; maximise minimise; paid free; eliminate increase
vilify praise; frustration contentment
mandatory optional; required optional; voluntary compulsory; indoors outdoors; unite divide; unanimous divided
increase decrease; increase reduce; increase decline; rise fall; rise drop; grow shrink; raise lower
raise cut; gain lose; win lose; buy sell; first last; early late; earlier later; oldest newest; old new
old young; oldest youngest; large small; larger smaller; largest smallest; big little; big small
biggest smallest; high low; higher lower; highest lowest; more less; more fewer; most least; most fewest
better worse; best worst; fast slow; faster slower; long short; longer shorter; longest shortest
before after; above below; over under; inside outside; north south; east west; northern southern
eastern western; left right; upper lower; open close; open shut; start end; start stop; begin end
begin finish; enter leave; arrive depart; accept reject; accept refuse; approve reject; approve deny
allow ban; allow prohibit; allow forbid; permit prohibit; legal illegal; lawful unlawful
possible impossible; likely unlikely; able unable; happy unhappy; healthy sick; safe dangerous
safe unsafe; strong weak; stronger weaker; rich poor; hot cold; warm cool; wet dry; light dark
light heavy; hard soft; hard easy; easy difficult; simple complex; full empty; alive dead; live die
male female; man woman; men women; boy girl; father mother; son daughter; brother sister; husband wife
king queen; positive negative; true false; guilty innocent; success failure; succeed fail; pass fail
support oppose; support reject; agree disagree; agree refuse; love hate; like dislike; friend enemy
ally enemy; attack defend; victory defeat; win loss; profit loss; import export; include exclude
include omit; internal external; public private; major minor; maximum minimum; many few; always never
often rarely; often seldom; common rare; frequent rare; usual unusual; permanent temporary; ancient modern
present absent; active passive; active inactive; complete incomplete; correct incorrect; correct wrong
right wrong; domestic foreign; local foreign; deep shallow; wide narrow; thick thin; tall short; near far
push pull; lend borrow; teach learn; remember forget; create destroy; build destroy; appear disappear
add remove; employ dismiss; hire fire; save spend; save waste; improve worsen; strengthen weaken
expand contract; encourage discourage; prevent cause; prevent allow; advantage disadvantage; benefit harm
cheap expensive; free expensive; optimistic pessimistic; confirm deny; admit deny; former current
previous next; upstream downstream; indoor outdoor; morning evening; day night
summer winter; son father; parent child; student teacher; employer employee; buyer seller
majority minority; top bottom; front back; ascend descend; up down; plus minus; with without
regular irregular; visible invisible; known unknown; popular unpopular; successful unsuccessful
necessary unnecessary; married unmarried; professional amateur; urban rural
"""


def _key(word: str) -> str:
    return stem(word) or word


OPPOSITES: dict[str, frozenset[str]] = {}
for _pair in _PAIRS.replace("\n", ";").split(";"):
    if _pair.strip():
        _one, _other = (_key(word) for word in _pair.split())
        OPPOSITES[_one] = OPPOSITES.get(_one, frozenset()) | {_other}
        OPPOSITES[_other] = OPPOSITES.get(_other, frozenset()) | {_one}


def opposites(setting: Setting) -> list[Finding]:
    """Return a conflict for each word whose opposite the source has in its place."""
    found: list[Finding] = []
    for sentence, places in enumerate(setting.places):
        sure = [place for place in places if place.share >= SURE]
        mine = {token.shape for token in setting.claim_tokens(sentence)}
        theirs = {token.shape for place in sure for token in setting.source_tokens(place.sentence)}
        seen: set[int] = set()
        for swap in setting.swaps[sentence]:
            a, b = swap.mine.shape, swap.theirs.shape
            if b not in OPPOSITES.get(a, ()) or a in theirs or b in mine or swap.mine.start in seen:
                continue
            if swap.framed == 0 or _denied(setting, sentence, swap, sure):
                continue
            seen.add(swap.mine.start)
            note = f"claim says {swap.mine.low}, the source says {swap.theirs.low}"
            found.append(_conflict("opposite", swap, note))
        found.extend(_elsewhere(setting, sentence, {finding.claim_start for finding in found}))
    return found


def _elsewhere(setting: Setting, sentence: int, seen: set[int]) -> list[Finding]:
    """The opposites of words that the source has nowhere, beside the same word as in the claim."""
    found: list[Finding] = []
    claimed = {word.stem for word in setting.claim_scopes[sentence]}
    for mine in setting.claim_scopes[sentence]:
        others = OPPOSITES.get(mine.stem, frozenset()) - claimed
        if not others or mine.stem in setting.source.stems or mine.token.start in seen:
            continue
        for theirs in setting.source.said(others):
            # "Growth and decline" agrees with a source of increase and decrease.
            if OPPOSITES[theirs.stem] & setting.source.stems or theirs.denied != mine.denied:
                continue
            if theirs.around & mine.around:
                note = f"claim says {mine.token.low}, the source says {theirs.token.low}"
                found.append(_conflict("opposite", Swap(mine.token, theirs.token, 0), note))
                break
    return found


def _denied(setting: Setting, sentence: int, swap: Swap, places: Sequence[Place]) -> bool:
    """Whether just one of the two is denied: "did not rise" and "fell" agree."""
    mine = [w.denied for w in setting.claim_scopes[sentence] if w.token.start == swap.mine.start]
    theirs = [
        w.denied
        for place in places
        for w in setting.source.scopes_in(place.sentence)
        if w.token.start == swap.theirs.start
    ]
    return any(mine) != any(theirs)


def _conflict(kind: str, swap: Swap, note: str) -> Finding:
    mine, theirs = swap.mine, swap.theirs
    return Finding(kind, "conflicts", mine.start, mine.end, theirs.start, theirs.end, note)
