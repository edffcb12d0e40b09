"""What the model is asked about a claim, and how its reply is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.checks import FEATURES
from ragguard.alignment.chunks import chunk_passages
from ragguard.alignment.features import feature_vector
from ragguard.alignment.observation import (
    ALONE,
    TOGETHER,
    Inquiry,
    Observation,
    inquire,
    observe,
    with_chunks,
    without_chunks,
)
from ragguard.alignment.selection import SentenceIndex
from ragguard.types import Passage
from tests.alignment.word_engine import logits_of, tokens_of

TOKENS = tokens_of(512)
CHECKS = dict.fromkeys(FEATURES, 1.0)


def asked(claim: str, *texts: str, budget: int = 64, wordings: tuple[str, ...] = ()) -> Inquiry:
    passages = [Passage(id=str(i), text=text) for i, text in enumerate(texts)]
    chunks = chunk_passages(passages, TOKENS.spans, budget=budget)
    index = SentenceIndex(chunks, TOKENS.counts)
    return inquire(wordings or (claim,), [chunk.text for chunk in chunks], index, budget=budget)


def reply(*rows: tuple[float, float]) -> np.ndarray:
    return np.array([logits_of(*row) for row in rows], dtype=np.float32)


def test_a_chunk_that_shares_no_word_is_not_read() -> None:
    found = asked("The bridge opened in 1978.", "Elephants are pink.", "The bridge opened in 1987.")
    assert found.sources[0] == "The bridge opened in 1987."
    assert all("Elephants" not in source for source in found.sources)


def test_where_no_chunk_shares_a_word_all_are_read_and_all_are_rivals() -> None:
    found = asked("He passed away.", "Lincoln died in 1865.", "Oslo is a town.")
    assert (len(found.chunks), found.rivals) == (2, 2)
    assert (found.together, found.alone) == ((), ())


def test_rivals_are_the_chunks_with_half_of_the_words() -> None:
    texts = [f"Bridge {i} opened in spring." for i in range(5)]
    assert asked("Bridge 3 opened.", *texts, "The bridge is long and old and red.").rivals == 5


def test_of_two_halves_far_apart_both_are_read_together() -> None:
    texts = [
        "Ada founded Acme.",
        *(f"Record {i} is about copper." for i in range(38)),
        "Acme is based in Oslo.",
    ]
    found = asked("Ada founded a company in Oslo.", *texts)
    assert found.sources[len(found.chunks)] == "Ada founded Acme. Acme is based in Oslo."


def test_what_is_read_together_fits_beside_the_claim() -> None:
    texts = [" ".join(f"bridge word{place}{i}" for i in range(12)) + "." for place in range(8)]
    budget = 64
    found = asked("The bridge word03 word13 word23 word33.", *texts, budget=budget)
    assert 0 < len(found.together) <= TOGETHER
    assert TOKENS.counts([found.sources[len(found.chunks)]])[0] <= budget


def test_every_wording_is_read_against_every_source() -> None:
    found = asked(
        "It opened.", "The bridge opened in 1978.", wordings=("The bridge. It opened.", "It opened.")
    )
    assert len(found.pairs()) == 2 * len(found.sources)
    assert len(found.alone) <= ALONE


def test_the_wording_that_a_source_supports_best_counts() -> None:
    found = asked("It opened.", "The bridge opened.", wordings=("The bridge. It opened.", "It opened."))
    rows = [(-3.0, 1.0)] * len(found.sources) + [(2.0, -6.0)] * len(found.sources)
    seen = observe(found, reply(*rows))
    assert seen.entailed == pytest.approx(2.0, abs=1e-4)
    assert seen.aligned == pytest.approx(2.0, abs=1e-4)
    assert (seen.contradicted < -2.0).all()


def test_log_odds_have_bounds() -> None:
    logits = np.array([[0, 0, 900, 900, -900, -900]] * 3, dtype=np.float32)
    seen = observe(asked("The bridge.", "The bridge opened."), logits)
    assert (seen.entailed == 12).all()
    assert (seen.contradicted == -12).all()


def test_an_inquiry_without_sources_has_an_observation_of_none() -> None:
    seen = observe(asked("He passed away.", "Lincoln died.").chosen(), np.zeros((0, 6), dtype=np.float32))
    assert seen.entailed.shape == (0,)


def test_a_claim_that_was_not_read_is_supported_by_nothing() -> None:
    seen = observe(Inquiry(), np.zeros((0, 6), dtype=np.float32))
    assert (seen.entailed.max(), seen.aligned.max(), seen.contradicted.min()) == (-12, -12, 12)


def test_read_in_two_steps_is_read_as_in_one() -> None:
    found = asked("The bridge opened in 1978.", "The bridge opened. It is long.", "In 1978 it rained.")
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, (len(found.sources), 6)).astype(np.float32)
    first = observe(found.chosen(), logits[len(found.chunks) :])
    whole = observe(found.whole(), logits[: len(found.chunks)])
    parted, once = with_chunks(first, whole), observe(found, logits)
    for one, other in ((parted.entailed, once.entailed), (parted.contradicted, once.contradicted)):
        assert np.array_equal(one, other)
    assert (parted.together, parted.alone, parted.rivals) == (once.together, once.alone, once.rivals)


@given(
    st.lists(st.floats(-12, 12, width=32), min_size=12, max_size=12),
    st.integers(1, 3),
)
def test_chunks_at_their_worst_and_best_bound_every_feature(values: list[float], chunks: int) -> None:
    few = Observation(
        *(np.array(values[i::3], dtype=np.float32) for i in range(3)), chunks=0, rivals=1, joined=True
    )
    rows = [np.array(values[:chunks][::step], dtype=np.float32) for step in (1, -1, 1)]
    whole = with_chunks(few, Observation(*rows, chunks=chunks, rivals=1, joined=False))
    low, high = (without_chunks(few, chunks, bound) for bound in ("lower", "upper"))
    features = [feature_vector(one, CHECKS) for one in (low, whole, high)]
    assert (features[0] <= features[1]).all()
    assert (features[1] <= features[2]).all()
    assert (low.bound, high.bound) == ("lower", "upper")
