from hypothesis import given
from hypothesis import strategies as st

from ragguard.models.prefixes import Shared, batches, shared_beginnings

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=80)


@given(st.lists(TOKENS | TOKENS.map(lambda tail: [1] * 60 + tail), max_size=12))
def test_every_prompt_is_in_one_group_whose_beginning_it_has(prompts: list[list[int]]) -> None:
    groups = shared_beginnings(prompts)
    assert sorted(place for group in groups for place in group.places) == list(range(len(prompts)))
    for group in groups:
        first = prompts[group.places[0]]
        for place in group.places:
            assert prompts[place][: group.length] == first[: group.length]
            assert group.length < len(prompts[place]), "one token at least is left to read"


def test_questions_about_one_passage_share_it_and_a_short_template_alone_is_not_shared() -> None:
    template, passage, other = [0] * 20, [1] * 100, [2] * 100
    prompts = [
        template + passage + [5, 6],
        template + other + [5],
        template + passage + [7],
        [*template, 5, 6, 7],
    ]
    groups = {group.places: group.length for group in shared_beginnings(prompts)}
    assert groups[(0, 2)] == 120
    assert {(1,), (3,)} < set(groups)


@given(st.lists(st.integers(1, 9), max_size=8), st.integers(1, 6))
def test_batches_hold_no_more_rows_than_allowed_and_lose_none(sizes: list[int], rows: int) -> None:
    groups, first = [], 0
    for size in sizes:
        groups.append(Shared(tuple(range(first, first + size)), size))
        first += size
    found = list(batches(groups, rows=rows))
    assert all(sum(len(group.places) for group in batch) <= rows for batch in found)
    assert sorted(p for batch in found for group in batch for p in group.places) == list(range(first))
