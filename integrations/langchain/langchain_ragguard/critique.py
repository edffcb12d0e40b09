"""What a model is told when it shall answer again: what stood against its draft, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ragguard.types import Report

_MOST = 5
_LONGEST = 200
_OUTCOMES = {
    "contradicted": "the sources contradict it",
    "conflicting": "the sources contradict one another",
    "unverifiable": "it cannot be checked against the sources",
}
_OPENING = "Your answer was not shown to the user. {why}"
_CLOSING = "Write the whole answer anew, for the user: do not mention this note or the answer before."


def critique(report: Report, draft: str) -> str:
    """Return the message that asks for another answer; it quotes at most five places of the draft.

    It is for the model alone, which wrote the draft: show it to nobody.

    Args:
        report: that withheld the draft; a guard's own feedback in its `request` is taken over.
        draft: the answer that was judged.
    """
    request = report.request or {}
    why = str(request.get("feedback") or report.reason.sentence)
    lines = [_OPENING.format(why=why), *_places(request, draft), _CLOSING]
    return "\n".join(lines)


def _places(request: Mapping[str, Any], draft: str) -> Iterator[str]:
    for place in list(request.get("unsupported") or ())[:_MOST]:
        at = place.get("failing") or place
        start, end = at.get("start"), at.get("end")
        if start is None or end is None:
            continue
        said = " ".join(draft[start:end].split())
        quoted = said if len(said) <= _LONGEST else said[:_LONGEST] + "…"
        yield f'- "{quoted}": {_OUTCOMES.get(place.get("outcome", ""), "the sources do not say so")}'
