from __future__ import annotations

import re
from collections import Counter

import pytest

from benchmarks import trace_texts
from benchmarks.trace_texts import Pair

LONGEST_SHARED = 5
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def runs(text: str, length: int) -> set[tuple[str, ...]]:
    own = words(text)
    return {tuple(own[i : i + length]) for i in range(len(own) - length + 1)}


def test_the_sets_are_large_enough_to_say_something() -> None:
    assert len(trace_texts.pairs()) >= 70
    assert len(trace_texts.near_misses()) >= 70
    assert len(trace_texts.ordinary()) >= 60
    assert len(trace_texts.benign_rare()) >= 120
    assert len(trace_texts.clauses()) == 12
    assert sum(pair.embedded for pair in trace_texts.pairs()) >= len(trace_texts.pairs()) / 3


@pytest.mark.parametrize("pair", trace_texts.pairs(), ids=lambda pair: pair.id)
def test_a_paraphrase_shares_no_run_of_six_words_with_its_passage(pair: Pair) -> None:
    assert not runs(pair.deny, LONGEST_SHARED + 1) & runs(pair.paraphrase, LONGEST_SHARED + 1)


def test_a_paraphrase_shares_no_run_of_six_words_with_any_other_passage_either() -> None:
    known = {run for pair in trace_texts.pairs() for run in runs(pair.deny, LONGEST_SHARED + 1)}
    assert not [p.id for p in trace_texts.pairs() if runs(p.paraphrase, LONGEST_SHARED + 1) & known]


def test_near_misses_are_about_a_passage_that_exists_and_share_words_with_it() -> None:
    deny = {pair.id: set(words(pair.deny)) for pair in trace_texts.pairs()}
    near = trace_texts.near_misses()
    assert {text.deny_id for text in near} == set(deny)
    assert all(len(deny[text.deny_id] & set(words(text.text))) >= 3 for text in near)


def test_no_near_miss_repeats_a_whole_passage() -> None:
    deny = {pair.id: pair.deny for pair in trace_texts.pairs()}
    for text in trace_texts.near_misses():
        own = set(words(deny[text.deny_id]))
        assert not own <= set(words(text.text)), text.id


def test_boilerplate_of_the_public_texts_stands_in_denied_passages_and_in_near_misses() -> None:
    public = {run for text in trace_texts.trusted() for run in runs(text.text, 8)}
    assert [p.id for p in trace_texts.pairs() if runs(p.deny, 8) & public]
    assert [t.id for t in trace_texts.near_misses() if runs(t.text, 8) & public]


def test_every_clause_has_four_answers_that_conflict_and_four_that_do_not() -> None:
    counts = Counter((case.clause, case.conflicts) for case in trace_texts.policy_cases())
    expected = {(clause.id, conflicts) for clause in trace_texts.clauses() for conflicts in (True, False)}
    assert set(counts) == expected
    assert min(counts.values()) >= 4


def test_ids_are_unique_and_no_text_occurs_twice() -> None:
    sets = [
        trace_texts.pairs(),
        trace_texts.near_misses(),
        trace_texts.trusted(),
        trace_texts.ordinary(),
        trace_texts.benign_rare(),
        trace_texts.policy_cases(),
    ]
    for rows in sets:
        assert len({row.id for row in rows}) == len(rows)
    texts = [row.text for rows in sets[1:] for row in rows]
    assert len(set(texts)) == len(texts)


def test_halves_follow_the_passage_so_that_no_topic_is_in_both() -> None:
    halves = {pair.id: trace_texts.half(pair.id) for pair in trace_texts.pairs()}
    counts = Counter(halves.values())
    assert min(counts["tuning"], counts["test"]) >= 25
    assert all(trace_texts.half(text.deny_id) == halves[text.deny_id] for text in trace_texts.near_misses())
