"""Negation, quantifiers and modality of the claim's words against the source's."""

from __future__ import annotations

from collections.abc import Sequence

from ragguard.alignment.checks.findings import Finding, Outcome
from ragguard.alignment.checks.scopes import Word
from ragguard.alignment.checks.setting import Setting

_ONLY = frozenset("only solely exclusively sole alone just single exclusive".split())


def operators(setting: Setting) -> list[Finding]:
    """Return findings of the kinds "negation", "quantifier" and "modality"."""
    found: list[Finding] = []
    for sentence, places in enumerate(setting.places):
        theirs = [w for place in setting.sure[sentence] for w in setting.source.scopes_in(place.sentence)]
        for mine in setting.claim_scopes[sentence]:
            same = _same(mine, theirs)
            if same:
                found.extend(_judge(mine, same))
            elif mine.around:
                found.extend(_elsewhere(mine, _same(mine, setting.source.said({mine.stem}))))
        found.extend(_only(setting, sentence, [place.sentence for place in places]))
    return found


def _same(mine: Word, theirs: Sequence[Word]) -> list[Word]:
    """The same word about the same: with a shared neighbour, or with nothing around it."""
    return [w for w in theirs if w.stem == mine.stem and (w.around & mine.around or not mine.around)]


def _elsewhere(mine: Word, same: Sequence[Word]) -> list[Finding]:
    """Outside of the sentence's place only a denial counts, and only where all occurrences agree on it."""
    if not same or any(w.denied == mine.denied for w in same):
        return []
    note = "the source denies it" if same[0].denied else "the source asserts what the claim denies"
    return [_finding("negation", "conflicts", mine, same[0], note)]


def _judge(mine: Word, same: Sequence[Word]) -> list[Finding]:
    found = []
    if all(w.denied != mine.denied for w in same):
        note = "the source denies it" if same[0].denied else "the source asserts what the claim denies"
        found.append(_finding("negation", "conflicts", mine, same[0], note))
    elif mine.denied:
        found.append(_finding("negation", "agrees", mine, same[0], "denied in both"))
    theirs = max(w.level for w in same)
    if mine.level and theirs:
        if mine.level <= theirs:
            found.append(_finding("quantifier", "agrees", mine, same[0], "said of as many"))
        else:
            outcome: Outcome = "conflicts" if mine.level == 3 else "missing"
            names = {1: "some", 2: "most", 3: "all"}
            note = f"claim says {names[mine.level]}, the source says {names[theirs]}"
            found.append(_finding("quantifier", outcome, mine, same[0], note))
    if not mine.hedged and all(w.hedged for w in same):
        note = "the claim asserts what the source only holds possible"
        found.append(_finding("modality", "missing", mine, same[0], note))
    elif mine.hedged:
        note = (
            "held possible in both"
            if any(w.hedged for w in same)
            else "the claim hedges what the source asserts"
        )
        found.append(_finding("modality", "agrees", mine, same[0], note))
    return found


def _only(setting: Setting, sentence: int, places: Sequence[int]) -> list[Finding]:
    mine = next(
        (t for t in setting.claim_tokens(sentence) if t.low in ("only", "solely", "exclusively")), None
    )
    if mine is None:
        return []
    for place in places:
        theirs = next((t for t in setting.source_tokens(place) if t.low in _ONLY), None)
        if theirs is not None:
            note = "exclusive in both"
            return [Finding("quantifier", "agrees", mine.start, mine.end, theirs.start, theirs.end, note)]
    note = "the source says it of this, not of this alone"
    return [Finding("quantifier", "missing", mine.start, mine.end, None, None, note)]


def _finding(kind: str, outcome: Outcome, mine: Word, theirs: Word, note: str) -> Finding:
    return Finding(
        kind,
        outcome,
        mine.token.start,
        mine.token.end,
        theirs.token.start,
        theirs.token.end,
        f"{mine.token.low}: {note}",
    )
