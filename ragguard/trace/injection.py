"""Whether a passage tries to instruct the model: the signals of every unit of it.

A passage is cut into units (sentences, and pieces of what has none). A unit is
judged by the rules that match in it, by what is hidden or encoded in it, by the
form of a request, by how unlike the rest of its passage it is, and by the learned
head on its vector. No signal decides alone: `ragguard.trace.injection_head` weighs them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ragguard.protocols import FloatArray
from ragguard.trace.hidden import Finding, find_hidden
from ragguard.trace.injection_decode import find_encoded
from ragguard.trace.injection_rules import find_instructions
from ragguard.trace.injection_text import foldings, units

SIGNALS = ("rules", "hidden", "hidden_rules", "question", "imperative", "outlier", "head")
"""What is known of a unit, in the order of the columns of `Reading.signals`."""

_IMPERATIVE = re.compile(
    r"^\W{0,6}(?:(?:please|kindly|now|also|then|next|finally|first|instead"
    r"|just|always|never|do not|don'?t|remember to"
    r"|make sure (?:to|that)?|be sure to|go ahead and|can you|could you"
    r"|would you|will you|i (?:want|need|would like) you to"
    r"|help me(?: to)?|you (?:must|should|need to|have to|are to)),? ){0,3}"
    r"(?!(?:the|this|that|these|those|there|their|they|then|what|when"
    r"|where|which|while|who|with|within|and|but|for|from"
    r"|his|her|its|our|your|she|you|all|any|some|most|many|both|each"
    r"|such|one|two|after|before|during|since|until|under"
    r"|although|however|because|about|into|over|also|not|has|had|have"
    r"|was|were|are|can|may|will|would|could|should)\b)"
    r"(?P<verb>[a-z]{2,14})\b (?:(?P<me>me|us)\b|(?:a|an|the|this|that"
    r"|these|your|all|any|some|each|every|how|what|why|which"
    r"|whether|if|it|them|in|on|to|with|for|from|between|about|of|as"
    r"|out|up|down|into|by|no|only|\d+|['\"\u2018\u201c])\b)"
)
# Ordinary words for work that is asked for, whatever stands after them.
_TASKS = re.compile(
    r"^\W{0,6}(?:(?:please|kindly|now|also|then|next|finally|first|instead"
    r"|can you|could you|would you|will you"
    r"|i (?:want|need|would like) you to|help me(?: to)?),? ){0,2}(?P<task>add"
    r"|analy[sz]e|answer|argue|brainstorm|calculate|check"
    r"|classify|compare|compose|compute|convert|correct|create|debug"
    r"|decide|define|describe|design|determine|develop|discuss|draft"
    r"|draw up|enumerate|estimate|evaluate|explain|find|generate|give"
    r"|help|identify|illustrate|imagine|improve|invent|list|name"
    r"|outline|paraphrase|plan|predict|prepare|produce|propose|provide"
    r"|prove|rank|recommend|rephrase|reply|respond|review|rewrite"
    r"|show|simplify|solve|suggest|summari[sz]e|teach|tell|translate|write)\b (?![a-z]+ed\b)"
)
_ASKS = re.compile(
    r"^\W{0,6}(?:what|who|whom|whose|when|where|which|why|how|can|could"
    r"|would|will|should|do|does|did|is|are|was|were|has|have"
    r"|may|am|in which|in what|at what|to what|from which|on which|for what)\b"
)
_QUESTION = re.compile(r"[?\uff1f\u061f]['\"\u2019\u201d)\]]{0,3}\s*$")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found in one passage before any vector is looked at.

    Attributes:
        units: ranges judged one by one.
        findings: of rules, hidden text and encodings, with raw spans, in order.
        signals: float64 (len(units), len(SIGNALS)); the columns from "outlier" on are 0 until `with_vectors`.
    """

    units: tuple[tuple[int, int], ...]
    findings: tuple[Finding, ...]
    signals: NDArray[np.float64]


def read_passage(text: str) -> Reading:
    """Return units, findings and the signals that need no model; linear in the length of the text."""
    spans = tuple(units(text))
    hidden = find_hidden(text)
    spoken = list(dict.fromkeys(_spoken(text)))
    signals = np.zeros((len(spans), len(SIGNALS)))
    for column, group in enumerate((spoken, hidden, [f for f in spoken if _overlaps(f, hidden)])):
        signals[:, column] = _noisy_or(group, spans)
    for row, (start, end) in enumerate(spans):
        signals[row, 3:5] = _form(text[start:end])
    found = sorted({*hidden, *spoken}, key=lambda f: (f.span.start, f.span.end, f.rule))
    return Reading(spans, tuple(found), signals)


def with_vectors(reading: Reading, vectors: FloatArray, head: NDArray[np.float64]) -> Reading:
    """Return the reading with what the vectors of its units tell.

    Args:
        reading: of a passage.
        vectors: unit vectors of its units, shape (len(units), dimension).
        head: of the learned head for each, in [0, 1].
    """
    signals = reading.signals.copy()
    signals[:, 5] = outlierness(vectors)
    signals[:, 6] = head
    return replace(reading, signals=signals)


def outlierness(vectors: FloatArray) -> NDArray[np.float64]:
    """Return how much less each unit is like the rest of its passage than the others are, in [0, 1].

    0 for a passage of fewer than three units: with two, neither is the odd one out.
    """
    if len(vectors) < 3:
        return np.zeros(len(vectors))
    rest = vectors.sum(axis=0, dtype=np.float64) - vectors
    lengths = np.maximum(np.linalg.norm(rest, axis=1), 1e-9)
    apart = 1 - (rest * vectors).sum(axis=1) / lengths
    # Rounded: the last bits of a vector depend on what was embedded beside it.
    found: NDArray[np.float64] = np.round(np.clip(apart - np.median(apart), 0, 1), 4)
    return found


def _spoken(text: str) -> Iterator[Finding]:
    for number, folded in enumerate(foldings(text)):
        for finding in find_instructions(folded.text):
            yield replace(finding, span=folded.raw(finding.span))
        if number == 0:
            for finding in find_encoded(text, folded.text):
                yield finding


def _overlaps(finding: Finding, hidden: Sequence[Finding]) -> bool:
    span = finding.span
    return any(h.span.start < span.end and span.start < h.span.end for h in hidden)


def _noisy_or(findings: Sequence[Finding], spans: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Each unit's findings as one number: distinct rules add up, one rule found twice does not."""
    heaviest: dict[tuple[int, str], float] = {}
    ends = [end for _, end in spans]
    for finding in findings:
        row = bisect_right(ends, finding.span.start)
        while row < len(spans) and spans[row][0] < max(finding.span.end, finding.span.start + 1):
            key = (row, finding.rule)
            heaviest[key] = max(heaviest.get(key, 0.0), finding.weight)
            row += 1
    doubt = np.ones(len(spans))
    for (row, _), weight in heaviest.items():
        doubt[row] *= 1 - weight
    return 1 - doubt


def _form(unit: str) -> tuple[float, float]:
    """Whether a unit asks, and whether it orders."""
    low = unit[:400].lower()
    asks = 1.0 if _QUESTION.search(unit[-8:]) else 0.0
    if asks and _ASKS.match(low) is None:
        asks = 0.6
    if _TASKS.match(low):
        return asks, 1.0
    found = _IMPERATIVE.match(low)
    return asks, 0.0 if found is None else 1.0 if found.group("me") else 0.5
