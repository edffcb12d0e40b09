"""Asking a reader many things: each once, within a budget, in a way that can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ragguard.errors import GenerationError, InvalidValueError, RagGuardError
from ragguard.preference.probe_log import AnswerLog
from ragguard.preference.readers import Ask, Reader

_ANSWER_TOKENS = 32  # reserved for an answer whose length nobody knows yet
_LETTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Budget:
    """What asking may cost at most; None is no limit.

    Attributes:
        calls: answers asked for; cached ones are free.
        tokens: read and written, as far as the reader can count them.
        cost: in the currency of `price`.
        price: of a thousand tokens.
    """

    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None
    price: float = 0.0

    def __post_init__(self) -> None:
        for name in ("calls", "tokens", "cost", "price"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise InvalidValueError(f"{name} must be at least 0, got {value}")
        if self.cost is not None and self.price == 0:
            raise InvalidValueError("a limit on cost needs a price", hint="price of a thousand tokens")


@dataclass(frozen=True, slots=True)
class Spent:
    """How far asking has come.

    Attributes:
        asked: different things to ask.
        cached: of them known beforehand.
        calls: answers asked for now.
        tokens: read and written for them.
        cost: by the budget's price.
    """

    asked: int = 0
    cached: int = 0
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0

    @property
    def left(self) -> int:
        """Answers that are still missing."""
        return self.asked - self.cached - self.calls


Progress: TypeAlias = Callable[[Spent], None]


def ask_all(
    reader: Reader,
    asks: Sequence[Ask],
    *,
    log: AnswerLog,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Spent:
    """Fill the log with the reader's answers, in order, as far as the budget goes.

    Args:
        asks: equal ones are asked once.
        log: what it holds is not asked again.
        budget: no answer is asked for that would exceed it.
        progress: told after every answer.

    Raises:
        GenerationError: the reader failed; what it had answered is in the log.
    """
    limit = budget or Budget()
    wanted = list(dict.fromkeys(asks))
    missing = [ask for ask in wanted if log.get(reader, ask) is None]
    spent = Spent(asked=len(wanted), cached=len(wanted) - len(missing))
    if progress is not None:
        progress(spent)
    first = 0
    while first < len(missing):
        chunk = _affordable(reader, missing[first : first + reader.chunk], spent, limit)
        if not chunk:
            break
        spent = _ask(reader, chunk, log, limit, spent, progress)
        first += len(chunk)
    return spent


def _ask(
    reader: Reader,
    chunk: Sequence[Ask],
    log: AnswerLog,
    limit: Budget,
    spent: Spent,
    progress: Progress | None,
) -> Spent:
    try:
        for place, answer in reader.answers(chunk):
            log.add(reader, chunk[place], answer)
            tokens = spent.tokens + reader.tokens(chunk[place]) + _written(answer)
            spent = replace(spent, calls=spent.calls + 1, tokens=tokens, cost=tokens / 1000 * limit.price)
            if progress is not None:
                progress(spent)
    except RagGuardError:
        raise
    except Exception as error:
        # A reader is anybody's code; its message may hold the prompt, so only its type is told.
        raise GenerationError(
            f"the reader failed with {type(error).__name__} after {spent.calls} answers",
            hint="they are kept: run again to go on",
        ) from error
    return spent


def _affordable(reader: Reader, chunk: Sequence[Ask], spent: Spent, limit: Budget) -> list[Ask]:
    """The asks of a chunk, from its first, that the budget still covers."""
    if limit.calls is not None:
        chunk = chunk[: max(0, limit.calls - spent.calls)]
    tokens = [limit.tokens] if limit.tokens is not None else []
    if limit.cost is not None:
        tokens.append(int(limit.cost / limit.price * 1000))
    if not tokens:
        return list(chunk)
    room = min(tokens) - spent.tokens
    found: list[Ask] = []
    for ask in chunk:
        room -= reader.tokens(ask) + _ANSWER_TOKENS
        if room < 0:
            break
        found.append(ask)
    return found


def _written(answer: str) -> int:
    return max(1, len(answer) // _LETTERS_A_TOKEN)


def answer_batch(
    reader: Reader,
    items: Sequence[tuple[str, Sequence[str]]],
    *,
    log: AnswerLog | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Return the reader's answer to every (question, passages) item, in order.

    Passages are given best first; none asks the closed book. With the log of a
    probe, what was asked there is not asked again.

    Raises:
        GenerationError: the reader failed; what it had answered is in the log.
    """
    kept = log if log is not None else AnswerLog()
    asks = [Ask(question, tuple(passages)) for question, passages in items]
    ask_all(reader, asks, log=kept, progress=progress)
    return [kept.get(reader, ask) or "" for ask in asks]
