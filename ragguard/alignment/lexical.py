"""The baseline aligner: shared words, numbers and negation. No model, no meaning.

It cannot see a paraphrase, a swap of subject and object, or an antonym; it is
named a baseline so that nobody takes it for more, and kept because every
learned aligner has to beat it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ragguard.alignment.negation import conflicts
from ragguard.alignment.numbers import numbers, without_references
from ragguard.alignment.windows import MAX_SENTENCES, Window, terms, windows
from ragguard.errors import InvalidValueError
from ragguard.protocols import Fingerprint
from ragguard.types import Claim, Evidence, Passage

BASELINE_THRESHOLD = 0.7
_ANSWERS_ONLY = frozenset(["yes", "yeah", "yep"])
_NUMBER_MISSING = 0.25  # a claim whose number is nowhere keeps this share of its recall


class LexicalAligner:
    """The share of a claim's content words in the best window of a passage, less two checks.

    * A number of the claim that no passage holds makes it `not_found`, and a
      quarter of the score is left.
    * A word that the claim negates and the best window asserts, or the reverse,
      makes it `contradicted`, and the score is 0.
    * A claim without content words is `unverifiable`, and the score is 0.

    Args:
        supported_above: recall in [0, 1) above which the outcome is `supported`.
    """

    name = "lexical"

    def __init__(self, *, supported_above: float = BASELINE_THRESHOLD) -> None:
        if not 0 <= supported_above < 1:
            raise InvalidValueError(f"supported_above must be in [0, 1), got {supported_above}")
        self.default_threshold = supported_above

    def align(
        self, claims: Sequence[Claim], passages: Sequence[Passage], /, *, question: str = ""
    ) -> list[Evidence]:
        """Return one evidence a claim, in order; `span` is the shortest window that supports it best."""
        found = windows(passages)
        in_passages = set().union(*(numbers(p.text) for p in passages))
        return [self._judge(claim, found, in_passages, len(passages)) for claim in claims]

    def fingerprint(self) -> Fingerprint:
        """Name, version and settings; nothing is learned."""
        return {
            "aligner": self.name,
            "version": 2,
            "window_sentences": MAX_SENTENCES,
            "supported_above": self.default_threshold,
        }

    def _judge(self, claim: Claim, found: Sequence[Window], in_passages: set[str], passages: int) -> Evidence:
        if not found:
            return Evidence(claim=claim, score=0.0, outcome="not_found", note="no passage to compare with")
        text = without_references(claim.text, passages=passages)
        wanted = terms(text) - _ANSWERS_ONLY
        if not wanted:
            return Evidence(
                claim=claim, score=0.0, outcome="unverifiable", note="no word of content to compare"
            )
        best = _best(text, wanted, found)
        recall = len(wanted & best.terms) / len(wanted)
        if recall == 0:
            return Evidence(claim=claim, score=0.0, outcome="not_found", note="no word of content in common")
        outcome, score, note = self._decide(text, best, recall, numbers(text) - in_passages)
        return Evidence(
            claim=claim, passage_id=best.passage.id, span=best.span, score=score, outcome=outcome, note=note
        )

    def _decide(self, text: str, best: Window, recall: float, missing: set[str]) -> tuple[str, float, str]:
        """Return (outcome, score, note): the checks in order, the words last."""
        if missing:
            named = ", ".join(sorted(missing))
            note = f"number {named} is not in the passages"
            return "not_found", _NUMBER_MISSING * recall, note
        if recall > self.default_threshold and conflicts(text, best.text):
            return "contradicted", 0.0, "negated on one side only"
        note = f"{recall:.0%} of the claim's content words in one place"
        return ("supported" if recall > self.default_threshold else "not_found"), recall, note


def _best(text: str, wanted: frozenset[str], found: Sequence[Window]) -> Window:
    """The window with most of the wanted terms; of equals the shortest, then one without a conflict."""
    most = max(len(wanted & window.terms) for window in found)
    equals = [window for window in found if len(wanted & window.terms) == most]
    fewest = min(window.sentences for window in equals)
    shortest = [window for window in equals if window.sentences == fewest]
    return next((window for window in shortest if not conflicts(text, window.text)), shortest[0])
