"""Sentences about something else contradict nothing."""

from __future__ import annotations

import pytest

from ragguard.alignment.subject import may_contradict


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ("The bridge opened in 1978.", "The bridge opened in 1987."),
        ("Maria Lund designed the bridge.", "Per Holm designed the bridge."),
        ("In 1978 the bridge opened.", "In 1987 the bridge opened."),
        ("Tram 3 leaves from platform 36.", "Tram 3 leaves from platform 46."),
        ("The museum is open on Sundays.", "The museum is never open on Sundays."),
        ("Growth was 4% in 2020.", "In 2020 growth was 5%."),
    ],
)
def test_one_other_name_or_figure_may_contradict(claim: str, sentence: str) -> None:
    assert may_contradict(claim, sentence)


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ("Tram 3 of Bergen leaves platform 36.", "Tram 4 of Bergen leaves platform 46."),
        ("Tram 3 leaves platform 36.", "Tram 4 leaves platform 36."),
        ("Oslo opened its tram in 1875.", "Bergen opened its tram in 1897."),
    ],
)
def test_a_sentence_about_another_subject_does_not(claim: str, sentence: str) -> None:
    assert not may_contradict(claim, sentence)


def test_texts_without_names_and_figures_may_contradict() -> None:
    assert may_contradict("The ferry sails.", "The ferry does not sail.")
    assert may_contradict("", "")
