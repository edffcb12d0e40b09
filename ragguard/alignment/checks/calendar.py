"""Whether the source gives the claim's dates."""

from __future__ import annotations

from collections.abc import Sequence

from ragguard.alignment.checks.dates import Date, agree, differ
from ragguard.alignment.checks.findings import Finding
from ragguard.alignment.checks.setting import Setting


def calendar(setting: Setting, claimed: Sequence[Date]) -> list[Finding]:
    """Return one finding for each date of the claim, in order."""
    return [_judge(setting, mine, claimed) for mine in claimed]


def _judge(setting: Setting, mine: Date, claimed: Sequence[Date]) -> Finding:
    near = [d for place in setting.places_at(mine.start) for d in setting.source.dates_in(place.sentence)]
    found = next((d for d in near if agree(mine, d)), None)
    found = found or next((d for d in setting.source.dates if agree(mine, d)), None)
    shown = setting.claim.text[mine.start : mine.end]
    if found is not None:
        return Finding("date", "agrees", mine.start, mine.end, found.start, found.end, "the source has it")
    year = _as_number(setting, mine)
    if year is not None:
        return Finding("date", "agrees", mine.start, mine.end, *year, "the source has it")
    rival = next((d for d in near if differ(mine, d) and not _spoken_for(d, mine, claimed)), None)
    if rival is None:
        return Finding("date", "missing", mine.start, mine.end, None, None, f"{shown} is not in the source")
    note = f"claim says {shown}, the source says {setting.source.reading.text[rival.start : rival.end]}"
    return Finding("date", "conflicts", mine.start, mine.end, rival.start, rival.end, note)


def _spoken_for(theirs: Date, mine: Date, claimed: Sequence[Date]) -> bool:
    return any(other is not mine and agree(other, theirs) for other in claimed)


def _as_number(setting: Setting, mine: Date) -> tuple[int, int] | None:
    """Where the source has the year as a bare number, as in a table or an identifier."""
    if mine.years is None or mine.month or mine.years[1] - mine.years[0] != 1:
        return None
    found = (q for q in setting.source.quantities if q.kind == "count" and q.low == q.high == mine.years[0])
    return next(((q.start, q.end) for q in found), None)
