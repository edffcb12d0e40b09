"""Roles changed: the words on either side of a shared verb, and what belongs to whom.

Precision before recall: a conflict needs the source to have the very two words
on the other sides of the very verb, passives turned round.
"""

from __future__ import annotations

from collections.abc import Sequence

from ragguard.alignment.checks.deeds import Deed, deeds, owned
from ragguard.alignment.checks.findings import Finding, Outcome
from ragguard.alignment.checks.setting import Setting
from ragguard.alignment.checks.tokens import Token


def roles(setting: Setting) -> list[Finding]:
    """Return findings of the kinds "role" and "owner"."""
    found: list[Finding] = []
    for sentence in range(len(setting.claim.sentences)):
        tokens = setting.claim_tokens(sentence)
        for mine in deeds(tokens):
            found.extend(_judge(setting, mine))
        found.extend(_owners(setting, tokens))
    return found


def _judge(setting: Setting, mine: Deed) -> list[Finding]:
    theirs = [
        d for d in setting.source.deeds.get(mine.verb, ()) if {d.doer, d.target} == {mine.doer, mine.target}
    ]
    if not theirs or mine.doer == mine.target:
        return []
    same = [d for d in theirs if d.doer == mine.doer]
    agreeing = next((d for d in same if d.denied == mine.denied), None)
    if agreeing is not None:
        return [_finding("agrees", mine, agreeing, "the same did the same to the same")]
    if same:
        return [
            _finding(
                "conflicts",
                mine,
                same[0],
                "the source denies it" if same[0].denied else "only the claim denies it",
            )
        ]
    turned = next((d for d in theirs if d.denied == mine.denied), None)
    if turned is None or mine.denied:
        return []
    return [_finding("conflicts", mine, turned, f"the source has the two of {mine.verb} the other way round")]


def _finding(outcome: Outcome, mine: Deed, theirs: Deed, note: str) -> Finding:
    return Finding("role", outcome, mine.start, mine.end, theirs.start, theirs.end, note)


def _owners(setting: Setting, tokens: Sequence[Token]) -> list[Finding]:
    found: list[Finding] = []
    for owner, thing, start, end in owned(tokens):
        theirs = setting.source.owners.get(thing, ())
        same = next(((s, e) for other, s, e in theirs if other == owner), None)
        if same is not None:
            found.append(Finding("owner", "agrees", start, end, *same, "the same belongs to the same"))
            continue
        # Elsewhere many own a house: only where the claim's sentence has its place does it tell.
        near = {place.sentence for place in setting.places_at(start)}
        other = next(((s, e) for _, s, e in theirs if setting.source.reading.sentence_at(s) in near), None)
        if other is not None and owner in setting.source.stems:
            s, e = other
            note = f"the source says it of {setting.source.reading.text[s:e]}"
            found.append(Finding("owner", "missing", start, end, s, e, note))
    return found
