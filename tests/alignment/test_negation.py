"""Which words are negated, and when two texts disagree in that."""

from __future__ import annotations

import pytest

from ragguard.alignment.negation import conflicts


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ("The list is not sorted.", "The list is sorted."),
        ("The list is sorted.", "The list isn’t sorted."),
        ("The bridge never opened.", "The bridge opened in 1978."),
        ("Children may take it.", "No children may take it."),
        ("It cannot copy files.", "It copies files."),
        ("It works without locking.", "It works with locking."),
    ],
)
def test_a_word_negated_on_one_side_only_is_a_conflict(claim: str, sentence: str) -> None:
    assert conflicts(claim, sentence)
    assert conflicts(sentence, claim)


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ("The list is sorted.", "The list is sorted."),
        ("The list is not sorted.", "The list isn't sorted."),
        ("It returns a list.", "If x is not given, returns a list."),
        ("It sorts lists.", "It sorts not only lists."),
        ("It does not copy the file.", "It copies the file and does not copy metadata."),
    ],
)
def test_agreement_and_ambiguity_are_none(claim: str, sentence: str) -> None:
    assert not conflicts(claim, sentence)
