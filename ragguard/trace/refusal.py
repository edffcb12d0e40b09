"""Taking refused sentences out of an answer, and saying where they stood without saying what they said."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragguard.text.sentences import sentence_spans
from ragguard.types import Span

_WORD = re.compile(r"\w")


def without_spans(text: str, spans: Sequence[Span]) -> tuple[str, list[Span]]:
    """Return the text less every sentence that one of the spans touches, and which characters went.

    A list marker goes with the item it belongs to. Where no word is left, nothing
    is: "" is returned.

    Args:
        text: the answer.
        spans: raw characters of it.
    """
    removed: list[Span] = []
    for start, end in sentence_spans(text):
        if not any(span.start < end and start < span.end for span in spans):
            continue
        while end < len(text) and text[end] in " \t":
            end += 1
        if removed and removed[-1].end == start:
            start = removed.pop().start
        removed.append(Span(start=start, end=end))
    kept, end = [], 0
    for span in removed:
        kept.append(text[end : span.start])
        end = span.end
    left = re.sub(r"\n{3,}", "\n\n", "".join((*kept, text[end:]))).strip()
    return (left if _WORD.search(left) else ""), removed
