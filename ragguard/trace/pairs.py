"""Traced answers as preference pairs, for those who train their own model.

A penalty on traced spans belongs into the loss of whoever holds the weights. What a
guard can give is the data: the answer that was traced is `rejected`, and what should
have been said is `chosen`. The file is what trainers of direct preference optimisation
read; `spans` say which characters of `rejected` a span-wise loss should weigh.

References:
    Das, Jain and Chadha (2025), arXiv 2508.02063, on the CBD loss.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragguard.errors import DataError, InvalidValueError, UnreadableFileError
from ragguard.trace.belief import Belief
from ragguard.trace.refusal import without_spans


@dataclass(frozen=True)
class TracedAnswer:
    """One answer, and what was traced in it.

    Attributes:
        id: names it in errors.
        prompt: what the model was asked.
        text: its answer.
        beliefs: those that count against it; offsets are characters of `text`.
    """

    id: str
    prompt: str
    text: str
    beliefs: Sequence[Belief]


@dataclass(frozen=True)
class PreferencePair:
    """One line of the export.

    Attributes:
        prompt: what the model was asked.
        chosen: the operator's refusal, or the answer less its traced sentences.
        rejected: the answer as it was given.
        spans: of `rejected`: start, end, kind, bci, clause and source documents.
    """

    prompt: str
    chosen: str
    rejected: str
    spans: tuple[dict[str, Any], ...]

    def line(self) -> dict[str, Any]:
        """Return it as a JSON-ready object."""
        return {
            "prompt": self.prompt,
            "chosen": self.chosen,
            "rejected": self.rejected,
            "spans": [dict(span) for span in self.spans],
        }


def preference_pairs(
    answers: Iterable[TracedAnswer],
    *,
    refusal: str,
    redact: bool = False,
    clean: Callable[[str], bool] = lambda chosen: True,
) -> Iterator[PreferencePair]:
    """Yield a pair for every answer with a traced span, in order; an answer without one gives none.

    Args:
        answers: what the model said, traced.
        refusal: what should have been said instead; it does not quote the answer.
        redact: choose the answer less its traced sentences, and the refusal only where
            no word is left.
        clean: whether a text may be trained towards, e.g. that it has no traced span of its own.

    Raises:
        InvalidValueError: the refusal is empty.
        DataError: an answer has no prompt, a span lies outside its answer, or what is
            chosen is the rejected answer, or is itself traced.
    """
    if not refusal.strip():
        raise InvalidValueError("the refusal is empty", hint="give the text that should have been said")
    for answer in answers:
        if answer.beliefs:
            yield _pair(answer, refusal, clean, redact=redact)


def write_pairs(path: str | Path, pairs: Iterable[PreferencePair]) -> int:
    """Write one JSON line a pair and return how many; the file appears whole or not at all.

    It holds what must not be shown, so that only its owner may read it.

    Raises:
        UnreadableFileError: the folder does not exist, or cannot be written.
    """
    path = Path(path)
    count = 0
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise UnreadableFileError(
            f"cannot write {path.name}: {error.strerror}", hint="make its folder first"
        ) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            for pair in pairs:
                file.write(json.dumps(pair.line(), ensure_ascii=False) + "\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return count


def _pair(
    answer: TracedAnswer, refusal: str, clean: Callable[[str], bool], *, redact: bool
) -> PreferencePair:
    if not answer.prompt.strip():
        raise DataError(f"answer {answer.id} has no prompt", hint="a pair needs what the model was asked")
    for belief in answer.beliefs:
        if belief.span.end > len(answer.text):
            raise DataError(f"answer {answer.id}: a span ends at {belief.span.end} of {len(answer.text)}")
    left = without_spans(answer.text, [belief.span for belief in answer.beliefs])[0] if redact else ""
    chosen = left or refusal
    if chosen == answer.text:
        raise DataError(f"answer {answer.id}: chosen and rejected are the same text")
    if not clean(chosen):
        raise DataError(
            f"answer {answer.id}: what is chosen is itself traced",
            hint="reword the refusal, or do not redact",
        )
    spans = tuple(_span(belief) for belief in answer.beliefs)
    return PreferencePair(answer.prompt, chosen, answer.text, spans)


def _span(belief: Belief) -> dict[str, Any]:
    documents = dict.fromkeys(one.document for one in belief.occurrences)
    return {
        "start": belief.span.start,
        "end": belief.span.end,
        "kind": belief.kind,
        "bci": belief.bci,
        "clause": belief.clause,
        "documents": list(documents),
    }
