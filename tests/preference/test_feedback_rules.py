"""Feedback is not a label: what each rule makes of it, and that position teaches nothing."""

from __future__ import annotations

import numpy as np
import pytest

from ragguard.errors import InvalidValueError, MissingPropensityError, UnknownNameError
from ragguard.preference.feedback import FeedbackRecord, ShownPassage
from ragguard.preference.feedback_rules import WEAK, convert, pairs_of, position_only
from ragguard.preference.propensity import (
    examination_by_swaps,
    inverse_weights,
    swap_neighbours,
    with_propensities,
)
from tests.preference.test_feedback import record_of

LOOKED_AT = (1.0, 0.55, 0.35, 0.2, 0.1)
"""How likely each of five positions is looked at, in the simulation."""
NEEDED = {"a": 0.1, "b": 0.25, "c": 0.4, "d": 0.6, "e": 0.8}
"""How likely each passage is cited once it was looked at: the true order is e, d, c, b, a."""


def gains(records: list[FeedbackRecord], **how: object) -> dict[str, float]:
    return {e.passage_id: e.gain for e in convert(records, **how).examples}  # type: ignore[arg-type]


def test_a_thumb_up_speaks_weakly_for_what_is_cited_and_not_of_the_rest() -> None:
    converted = convert([record_of("1", "abc", cited="b")])
    (example,) = converted.examples
    assert (example.passage_id, example.category, example.gain, example.weight) == ("b", "aligned", 1.0, WEAK)
    assert converted.left_out["uncited"] == 2


def test_a_thumb_down_speaks_against_what_is_cited_alone() -> None:
    (example,) = convert([record_of("1", "abc", cited="c", rating="down")]).examples
    assert (example.passage_id, example.category, example.gain) == ("c", "unaligned", -1.0)


def test_nothing_cited_or_nothing_rated_teaches_nothing() -> None:
    converted = convert([record_of("1"), record_of("2", cited="a", rating=None)])
    assert converted.examples == []
    assert converted.left_out == {"unrated": 1, "uncited": 3}


def test_conflicts_average_and_the_last_word_is_no_more_than_the_first() -> None:
    records = [
        record_of("1", "ab", cited="a"),
        record_of("2", "ab", cited="a"),
        record_of("3", "ab", cited="a", rating="down"),
    ]
    assert gains(records) == {"a": pytest.approx(1 / 3)}
    assert gains(records[::-1]) == gains(records)
    assert convert(records[1:]).left_out["contradictory"] == 2


def test_readers_are_never_mixed() -> None:
    converted = convert(
        [record_of("1", "ab", cited="a"), record_of("2", "ab", cited="a", rating="down", reader="reader-2")]
    )
    assert {(e.reader, e.gain) for e in converted.examples} == {("reader-1", 1.0), ("reader-2", -1.0)}
    assert converted.pairs == []


def test_opposite_ratings_of_different_passages_make_pairs() -> None:
    records = [
        record_of("1", "ab", cited="a", question="What is it?"),
        record_of("2", "bc", cited="c", rating="down", question="what  is it?"),
    ]
    (pair,) = pairs_of(records)
    assert (pair.winner, pair.loser, pair.weight) == ("a", "c", WEAK)
    assert pairs_of([records[0], records[1].model_copy(update={"rating": "up"})]) == []
    assert pairs_of([records[0], records[1].model_copy(update={"question": "Another?"})]) == []


def test_without_citations_what_only_one_answer_had_shares_the_weight() -> None:
    converted = convert([record_of("1", "abx"), record_of("2", "cx", rating="down")])
    assert {(p.winner, p.loser): p.weight for p in converted.pairs} == {
        ("a", "c"): WEAK / 2,
        ("b", "c"): WEAK / 2,
    }
    assert {e.passage_id: e.gain for e in converted.examples} == {"a": 0.5, "b": 0.5, "c": -0.5}
    assert {e.weight for e in converted.examples} == {WEAK / 2}


def test_a_bot_that_likes_whatever_stands_first_teaches_nothing() -> None:
    rng = np.random.default_rng(5)
    bot = [
        record_of(f"{i}", order, cited=order[0], question=f"Question {i % 7}?", rater="bot")
        for i in range(60)
        for order in ["".join(rng.permutation(list("abcde")))]
    ]
    assert position_only(bot) == {"bot"}
    converted = convert(bot)
    assert converted.examples == []
    assert converted.pairs == []
    assert converted.left_out == {"rater_without_variation": 60}
    person = record_of("p", "abc", cited="b", rater="person", question="Another?")
    assert [e.passage_id for e in convert([*bot, person]).examples] == ["b"]


def simulated(count: int = 4000, *, seed: int = 1) -> list[FeedbackRecord]:
    """Users who look at a position with its probability and cite what they need; the worst passage is mostly first."""
    rng = np.random.default_rng(seed)
    records = []
    for i in range(count):
        # A retriever that ranks backwards, with neighbours swapped now and then.
        order = list("abcde")
        for _ in range(3):
            order = swap_neighbours(order, rng, share=0.6)
        cited = [p for k, p in enumerate(order) if rng.random() < LOOKED_AT[k] and rng.random() < NEEDED[p]]
        shown = tuple(
            ShownPassage(id=p, text=f"text {p}", position=k + 1, propensity=LOOKED_AT[k])
            for k, p in enumerate(order)
        )
        records.append(
            FeedbackRecord(
                id=str(i), question="What?", passages=shown, cited=tuple(cited), rating="up", reader="r"
            )
        )
    return records


def rates(records: list[FeedbackRecord]) -> dict[str, float]:
    """How often each passage is cited where it is shown: the naive reading of a log."""
    return {p: float(np.mean([p in r.cited for r in records])) for p in NEEDED}


def test_logged_propensities_recover_the_order_that_positions_hide() -> None:
    records = simulated()
    naive = rates(records)
    weighted = gains(records, weighting="ips")
    true_order = sorted(NEEDED, key=lambda p: -NEEDED[p])
    assert sorted(weighted, key=lambda p: -weighted[p]) == true_order
    assert sorted(naive, key=lambda p: -naive[p]) != true_order
    for passage, needed in NEEDED.items():
        # Unbiased: within four standard errors, of which the tenth position's weight of 10 is the largest part.
        assert weighted[passage] == pytest.approx(needed, abs=4 * np.sqrt(10 / 4000))


def test_without_logged_propensities_nothing_is_weighted() -> None:
    with pytest.raises(MissingPropensityError, match="'1'"):
        convert([record_of("1", "ab", cited="a", propensities=(1.0, None))], weighting="ips")
    with pytest.raises(UnknownNameError):
        convert([record_of("1")], weighting="none")  # type: ignore[arg-type]


def test_no_weight_is_above_the_clip() -> None:
    record = record_of("1", "ab", cited="b", propensities=(1.0, 0.01))
    assert inverse_weights([record], clip=5.0)["1", "b"] == 5.0
    assert gains([record], weighting="ips") == {"b": 1.0}
    with pytest.raises(InvalidValueError):
        inverse_weights([record], clip=0.5)


def test_swapped_neighbours_tell_how_likely_a_position_is_looked_at() -> None:
    found = examination_by_swaps(simulated(6000))
    for position, true in enumerate(LOOKED_AT[:4], start=1):
        assert found[position] == pytest.approx(true, abs=0.1)


def test_without_chance_nothing_is_estimated_beyond_the_first_position() -> None:
    fixed = [record_of(str(i), "abc", cited="a" if i % 2 else "b") for i in range(20)]
    assert examination_by_swaps(fixed) == {1: 1.0}
    stamped = with_propensities(fixed, {1: 1.0})
    with pytest.raises(MissingPropensityError):
        convert(stamped, weighting="ips")


def test_a_share_of_lists_is_shown_with_two_neighbours_swapped() -> None:
    rng = np.random.default_rng(2)
    shown = ["".join(swap_neighbours("abcd", rng, share=0.25)) for _ in range(4000)]
    swapped = [order for order in shown if order != "abcd"]
    assert set(swapped) == {"bacd", "acbd", "abdc"}
    # Binomial: 4000 draws at 0.25 stray from 1000 by more than 4.5 deviations once in 10^5 runs.
    assert abs(len(swapped) - 1000) < 4.5 * np.sqrt(4000 * 0.25 * 0.75)
    assert swap_neighbours("a", rng, share=1.0) == ["a"]
