from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.errors import InvalidValueError
from ragguard.trace.matching import maximal
from tests.trace import oracle

WORDS = st.sampled_from("abc")


@given(st.lists(st.lists(WORDS, max_size=15), max_size=3), st.lists(WORDS, max_size=20), st.integers(1, 4))
def test_maximal_matches_equal_the_oracle(documents: list[list[str]], query: list[str], least: int) -> None:
    starts, ends = maximal(np.array(oracle.longest(documents, query), dtype=np.int64), least)
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == oracle.maximal(documents, query, least)


def test_refuses_matches_of_no_words() -> None:
    with pytest.raises(InvalidValueError, match="least is 0"):
        maximal(np.zeros(3, dtype=np.int64), 0)
