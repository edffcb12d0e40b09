"""TraceLogitsProcessor: a local model that cannot finish a denied span.

The check of the finished answer comes too late for a model of one's own: it can
be steered away while it writes. At every step, each candidate is appended to the
text so far, and what would complete a match with the deny corpus is vetoed or
penalised. All is decided on text: the model's subword tokens are not words, and a
candidate may end inside one.

References:
    Das, Jain and Chadha (2025), arXiv 2508.02063, on Prov-Decode.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import GuardError, InvalidValueError
from ragguard.trace.corpus import Match
from ragguard.trace.tokens import Tokens, tokenise

_TAIL = 32
_BORDER = ""
"""Stands between texts that are looked up together: no text holds a word without a character."""
_FRAGMENT = "\ufffd"
"""Decodes from part of a character, which can become one word: none folds to more."""
_PLAIN = re.compile(r" ?[A-Za-z0-9]+")
_NEVER = -(1 << 14)

Row = tuple[tuple[str, ...], int]
"""The words of a text, and how many of them stood there before the candidate."""


class Lookup(Protocol):
    """What is asked of a corpus: `TraceCorpus`, and whatever offers the same."""

    def matches(self, tokens: Tokens, *, least: int = 6) -> list[Match]: ...

    def open_from(self, tokens: Tokens) -> int: ...


class TraceLogitsProcessor:
    """Keeps a `transformers` model from writing what the deny corpus holds; for `generate(logits_processor=[...])`.

    With a veto, the text of a row (decoded without special tokens) never gains a match of
    `least` words or more, in greedy and beam search and in sampling alike. With a penalty
    it becomes unlikely. Only verbatim text is seen: a paraphrase is the shield's to find,
    which judges the answer afterwards. It keeps no state: one serves any number of calls.

    A candidate can only complete a match where `least` less the words it adds are already
    matched; elsewhere scores are untouched. Where it could, the most likely `candidates`
    are examined, and more while all of these are vetoed; what was not examined is treated
    as if it completed a match. Where nothing is left to say the row ends.

    Args:
        corpus: the deny corpus, `index.corpora["deny"]`.
        tokenizer: the model's.
        least: words of a match, at least 1.
        gamma: subtracted from the score of what completes a match, above 0; None vetoes it.
        candidates: examined at a step, at least 1.
        prompt_tokens: leading columns that are not checked: the width of the prompt, padding
            included, keeps what the model writes apart from what it was given. 0 checks a
            match across that border too; what the prompt alone holds is never held against it.
        trusted: a match that stands in this corpus as a whole is let through.

    Raises:
        InvalidValueError: a number is out of its range.

    References:
        Das, Jain and Chadha (2025), arXiv 2508.02063, on Prov-Decode.
    """

    def __init__(
        self,
        corpus: Lookup,
        tokenizer: Any,
        *,
        least: int = 6,
        gamma: float | None = None,
        candidates: int = 50,
        prompt_tokens: int = 0,
        trusted: Lookup | None = None,
    ) -> None:
        for name, value, lowest in (
            ("least", least, 1), ("candidates", candidates, 1), ("prompt_tokens", prompt_tokens, 0),
        ):  # fmt: skip
            if value < lowest:
                raise InvalidValueError(f"{name} must be at least {lowest}, got {value}")
        if gamma is not None and not gamma > 0:
            raise InvalidValueError(f"gamma must be above 0, got {gamma}", hint="None vetoes")
        self.corpus = corpus
        self.trusted = trusted
        self.least = least
        self.gamma = gamma
        self.candidates = candidates
        self.prompt_tokens = prompt_tokens
        self._tokenizer = tokenizer
        self._adds: NDArray[np.int16] | None = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return the scores with what would complete a denied match put down.

        Args:
            input_ids: tokens so far, shape (rows, length).
            scores: of the next token, shape (rows, vocabulary); not changed.

        Raises:
            GuardError: nothing may be said, and the tokenizer knows no end token.
        """
        changed = scores.clone()
        for row, ids in enumerate(input_ids[:, self.prompt_tokens :].tolist()):
            self._steer(ids, changed[row])
        return changed

    def _steer(self, ids: Sequence[int], scores: Any) -> None:
        """Put down what completes a match, in place."""
        tail, before, run = self._tail(ids)
        doubtful = self._words_added(scores.shape[-1]) >= self.least - 1 - run
        if not doubtful.any():
            return
        size = self.candidates
        while True:
            best, top = scores.topk(min(size, scores.shape[-1]))
            possible = [i for i, score in zip(top.tolist(), best.tolist(), strict=True) if score > -np.inf]
            examined = [i for i in possible if doubtful[i]]
            completing = self._completing(tail, before, examined)
            doubtful[[i for i in examined if i not in completing]] = False
            if len(completing) < len(possible) or self.gamma is not None or size >= scores.shape[-1]:
                break
            size *= 4
        self._put_down(scores, doubtful, none_left=len(completing) == len(possible))

    def _put_down(self, scores: Any, doubtful: NDArray[np.bool_], *, none_left: bool) -> None:
        import torch

        mask = torch.from_numpy(doubtful).to(scores.device)
        if self.gamma is not None:
            scores[mask] -= self.gamma
            return
        scores[mask] = -torch.inf
        if none_left:
            end = self._tokenizer.eos_token_id
            if end is None:
                raise GuardError("every continuation completes a denied match", hint="give an end token")
            scores[end] = 0.0

    def _tail(self, ids: Sequence[int]) -> tuple[list[int], tuple[str, ...], int]:
        """The last tokens, their words, and how many words before the last are an open match.

        The tail is long enough to hold that match and a word before it: its first word may be cut.
        """
        size = _TAIL
        while True:
            tail = list(ids[-size:])
            tokens = tokenise(self._decoded([tail])[0])
            # The last word may still grow, so that what precedes it is what counts.
            settled = _joined([tokens.words[:-1]])
            start = self.corpus.open_from(settled)
            if start > 0 or len(tail) == len(ids):
                return tail, tokens.words, len(settled.words) - start
            size *= 2

    def _completing(self, tail: list[int], before: tuple[str, ...], examined: Sequence[int]) -> set[int]:
        """Those of the candidates that complete a match, or make one longer."""
        texts = self._decoded([[*tail, candidate] for candidate in examined])
        rows = [_row(tokenise(text).words, before) for text in texts]
        return {candidate for candidate, bad in zip(examined, self._bad(rows), strict=True) if bad}

    def _bad(self, rows: Sequence[Row]) -> list[bool]:
        """Whether each row has a match that reaches into what is new; all are looked up at once."""
        bad = [False] * len(rows)
        if not any(len(words) > known for words, known in rows):
            return bad
        starts = np.cumsum([0, *(len(words) + 1 for words, _ in rows)])
        joined = _joined([words for words, _ in rows])
        for match in self.corpus.matches(joined, least=self.least):
            row = int(np.searchsorted(starts, match.start, side="right")) - 1
            if match.end - starts[row] > rows[row][1] and not self._is_trusted(joined, match):
                bad[row] = True
        return bad

    def _is_trusted(self, tokens: Tokens, match: Match) -> bool:
        if self.trusted is None:
            return False
        words = tokens.words[match.start : match.end]
        return bool(self.trusted.matches(_joined([words]), least=len(words)))

    def _words_added(self, size: int) -> NDArray[np.int16]:
        """Return how many words each token of the vocabulary can add at most, shape (size,)."""
        if self._adds is None or len(self._adds) < size:
            self._adds = self._counted(size)
        return self._adds[:size]

    def _counted(self, size: int) -> NDArray[np.int16]:
        # Scores may be wider than the vocabulary: what is beyond it stands for no text.
        adds = np.full(size, _NEVER, dtype=np.int16)
        known = min(size, len(self._tokenizer))
        for token, text in enumerate(self._decoded([[token] for token in range(known)])):
            plain = _PLAIN.fullmatch(text) is not None  # most are, and tokenising all takes seconds
            adds[token] = 1 if plain else len(tokenise(text).words) + text.count(_FRAGMENT)
        adds[[token for token in self._tokenizer.all_special_ids if token < size]] = _NEVER
        return adds

    def _decoded(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return list(self._tokenizer.batch_decode(rows, skip_special_tokens=True)) if rows else []


def _row(words: tuple[str, ...], before: tuple[str, ...]) -> Row:
    same = (place for place, (new, old) in enumerate(zip(words, before, strict=False)) if new != old)
    return words, next(same, min(len(words), len(before)))


def _joined(rows: Sequence[tuple[str, ...]]) -> Tokens:
    """Return words of several texts as one, with a border that no match crosses; offsets are places."""
    words = tuple(word for row in rows for word in (*row, _BORDER))[:-1]
    places = np.arange(len(words), dtype=np.int64)
    return Tokens(words, places, places + 1)
