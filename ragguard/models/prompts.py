"""The prompt that shows passages and asks for a short answer from them alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from ragguard.types import Passage

I_DONT_KNOW = "I don't know."
INSTRUCTION = (
    "Answer the question in one or two short sentences, using only the passages. "
    f"If the passages do not say, answer: {I_DONT_KNOW}"
)


def shown(number: int, text: str) -> str:
    """Return one passage as the prompt shows it, on a line of its own."""
    return f"[{number}] {' '.join(text.split())}"


def asked(question: str, passages: Sequence[str]) -> str:
    """Return numbered passages and the question.

    The first passage, the best, comes last: small models heed most what is nearest.
    """
    lines = [shown(number, text) for number, text in enumerate(passages, 1)]
    return "Passages:\n" + "\n".join(reversed(lines)) + f"\n\nQuestion: {question}"


def plain_prompt(question: str, passages: Sequence[Passage]) -> str:
    """Return instruction, passages and question as one string, nothing cut."""
    return f"{INSTRUCTION}\n\n{asked(question, [p.text for p in passages])}\n\nAnswer:"


def fingerprint_of(*parts: object) -> str:
    """Return a sha256 over the parts of a prompt, for fingerprints."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
