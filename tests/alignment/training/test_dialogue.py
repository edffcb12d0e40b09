from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.training.dialogue import SPEAKERS, dialogue_examples
from ragguard.alignment.training.examples import CONTRADICTED, ENTAILED, NEUTRAL

PASSAGE = "He founded his own firm of bicycles in Oslo. The firm sold lamps and candles as well."


@given(st.integers(0, 9999))
def test_the_speaker_alone_said_it(seed: int) -> None:
    by_origin = {one.origin: one for one in dialogue_examples(PASSAGE, random.Random(seed))}
    told, other = by_origin["made: speaker"], by_origin["made: other speaker"]
    assert (told.three_way, other.three_way) == (ENTAILED, CONTRADICTED)
    who, stated = told.claim.split(" ", 1)
    assert f"{who}: I founded my own firm" in told.source
    assert other.claim.split(" ", 1)[1] == stated
    assert other.claim.split(" ", 1)[0] in SPEAKERS
    absent = by_origin.get("made: absent speaker")
    if absent is not None:
        assert absent.three_way == NEUTRAL
        assert f"{absent.claim.split(' ', 1)[0]}:" not in absent.source


def test_a_passage_without_somebody_telling_makes_none() -> None:
    assert list(dialogue_examples("The firm sold lamps and candles as well.", random.Random(0))) == []
