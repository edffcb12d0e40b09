"""Chunks of a context as the published code makes them: by sentences, sized by words.

350 is a target, not a limit: one long sentence is never divided, and chunks of
equal numbers of sentences leave a short last one. What does not fit the model is
cut later; `ragguard.alignment.chunks` is the way without loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ragguard.alignment.compat_sentences import published_sentences

TARGET_WORDS = 350


def published_chunks(
    context: str, sentences: Callable[[str], Sequence[str]] = published_sentences
) -> list[str]:
    """Return the context's chunks, sentences joined by one space; `[""]` for a context without any.

    With w words between white space and s sentences, a chunk has
    max(1, s // (w // 350 + 1)) sentences.
    """
    found = list(sentences(context)) or [""]
    wanted = len(context.split()) // TARGET_WORDS + 1
    size = max(1, len(found) // wanted)
    return [" ".join(found[start : start + size]) for start in range(0, len(found), size)]
