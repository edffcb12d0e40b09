"""How specificity and conflict make the belief conflict index."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ragguard.trace.belief import (
    FLOOR,
    SCALE,
    Specificity,
    conflict_index,
    covered,
    specificity,
    verbatim_beliefs,
    weight,
)
from ragguard.trace.corpus import Match, Occurrence
from ragguard.trace.tokens import tokenise
from ragguard.types import Span


class Nats:
    """A word has as many nats as it has letters."""

    def surprisal(self, words: Sequence[str], /) -> NDArray[np.float64]:
        return np.array([float(len(word)) for word in words])

    def kl(self, words: Sequence[str], /) -> float:
        return 0.25


def match(start: int, end: int, text: str) -> Match:
    tokens = tokenise(text)
    span = Span(start=int(tokens.starts[start]), end=int(tokens.ends[end - 1]))
    return Match(start, end, span, 1, (Occurrence("d", Span(start=0, end=1)),))


TEXT = "the key of the vault is xylophone-quartz"


def test_specificity_adds_up_the_words_each_floored() -> None:
    told = specificity(Nats(), ["a", "abcd"])
    assert told == Specificity(FLOOR + 4, (FLOOR + 4) / 2, 0.25)


def test_no_words_tell_nothing() -> None:
    assert specificity(Nats(), []) == Specificity(0.0, 0.0, 0.0)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1), st.floats(0, 1))
def test_the_index_grows_with_both_factors_and_stays_below_one(
    a: float, b: float, c: float, d: float
) -> None:
    low, high = sorted((a, b))
    assert weight(low) <= weight(high) < 1
    less, more = sorted((c, d))
    assert conflict_index(less, Specificity(low, 1, 0)) <= conflict_index(more, Specificity(high, 1, 0)) < 1


def test_without_conflict_the_rarest_words_score_nothing() -> None:
    assert conflict_index(0.0, Specificity(10_000.0, 50.0, 9.0)) == 0.0


def test_a_long_run_of_the_commonest_words_weighs_half_at_ten() -> None:
    words = ["a"] * int(SCALE / FLOOR)
    assert weight(specificity(Nats(), words).total) == 0.5


def test_a_match_that_nothing_supports_conflicts_fully() -> None:
    tokens = tokenise(TEXT)
    (belief,) = verbatim_beliefs(tokens, [match(0, 8, TEXT)], np.zeros(8, dtype=bool), Nats())
    assert belief.conflict == 1.0
    assert belief.bci == pytest.approx(weight(belief.specificity))
    assert TEXT[belief.span.start : belief.span.end] == TEXT


def test_a_match_that_trusted_holds_too_conflicts_with_nothing() -> None:
    tokens = tokenise(TEXT)
    (belief,) = verbatim_beliefs(tokens, [match(0, 8, TEXT)], np.ones(8, dtype=bool), Nats())
    assert belief.conflict == belief.bci == 0.0
    assert belief.specificity > 0


def test_a_secret_at_the_end_of_public_words_keeps_its_own_weight() -> None:
    tokens = tokenise(TEXT)
    inside = covered([match(0, 6, TEXT)], 8)
    (belief,) = verbatim_beliefs(tokens, [match(0, 8, TEXT)], inside, Nats())
    alone = specificity(Nats(), tokens.words[6:])
    assert belief.bci == pytest.approx(weight(alone.total))
    assert belief.bci == pytest.approx(belief.conflict * weight(belief.specificity))


@given(st.lists(st.booleans(), min_size=8, max_size=8))
def test_more_support_never_raises_the_index(supported: list[bool]) -> None:
    tokens = tokenise(TEXT)
    found = [match(0, 8, TEXT)]
    (before,) = verbatim_beliefs(tokens, found, np.array(supported), Nats())
    for place in range(8):
        (after,) = verbatim_beliefs(
            tokens, found, np.array([s or n == place for n, s in enumerate(supported)]), Nats()
        )
        assert after.bci <= before.bci
    assert 0 <= before.conflict <= 1
    assert math.isfinite(before.bci)
