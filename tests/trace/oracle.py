"""What the look-ups must give, worked out the slow way."""

from __future__ import annotations

from collections.abc import Sequence

Word = str | int


def occurrences(documents: Sequence[Sequence[Word]], run: Sequence[Word]) -> list[tuple[int, int]]:
    """Every (document, place) at which the run stands."""
    return [
        (number, place)
        for number, document in enumerate(documents)
        for place in range(len(document) - len(run) + 1)
        if list(document[place : place + len(run)]) == list(run)
    ]


def longest(documents: Sequence[Sequence[Word]], query: Sequence[Word]) -> list[int]:
    """At each place of the query, how many words from there on occur in a row."""
    found = []
    for start in range(len(query)):
        end = start
        while end < len(query) and occurrences(documents, query[start : end + 1]):
            end += 1
        found.append(end - start)
    return found


def maximal(documents: Sequence[Sequence[Word]], query: Sequence[Word], least: int) -> list[tuple[int, int]]:
    """Runs that occur, are long enough, and lie in no longer run that occurs."""
    runs = [(start, start + length) for start, length in enumerate(longest(documents, query)) if length]
    inside = [
        run
        for run in runs
        if any(other != run and other[0] <= run[0] and run[1] <= other[1] for other in runs)
    ]
    return [run for run in runs if run not in inside and run[1] - run[0] >= least]
