from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.alignment.training.batches import Encoded, batches_of, collate, encode, plan
from ragguard.alignment.training.examples import CONTRADICTED, Example, graded
from ragguard.models.pair_tokens import PairTokens
from tests.models.random_models import bert_tokenizer

TOKENS = PairTokens(bert_tokenizer(), max_tokens=64)


def data_of(lengths: list[int]) -> Encoded:
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    size, rows = int(starts[-1]), len(lengths)
    zeros = np.zeros(rows, dtype=np.int64)
    ids = np.concatenate([np.full(n, i + 1) for i, n in enumerate(lengths)]) if rows else np.zeros(0)
    return Encoded(
        ids.astype(np.int32), np.zeros(size, dtype=np.int8), starts, zeros, zeros, zeros.astype(np.float32)
    )


lengths = st.lists(st.integers(1, 200), min_size=1, max_size=120)


@given(lengths, st.integers(32, 1024), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_an_epoch_has_every_example_once_up_to_what_is_left_over(
    sizes: list[int], tokens: int, seed: int
) -> None:
    data = data_of(sizes)
    batches = plan(data, batch_tokens=tokens, seed=seed)
    seen = Counter(row for batch in batches for row in batch.tolist())
    assert set(seen.values()) <= {1}
    longest = max(-(-n // 32) * 32 for n in sizes)
    assert len(sizes) - len(seen) < max(1, tokens // longest) or not tokens // longest
    assert set(seen) <= set(range(len(sizes)))


@given(lengths, st.integers(32, 1024), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_batches_have_few_shapes_within_their_tokens(sizes: list[int], tokens: int, seed: int) -> None:
    data = data_of(sizes)
    rows_at: dict[int, set[int]] = {}
    for batch in batches_of(data, plan(data, batch_tokens=tokens, seed=seed), pad=0):
        rows, length = batch.ids.shape
        assert length % 32 == 0
        assert rows == 1 or rows * length <= tokens
        assert (batch.mask.sum(dim=1) == (batch.ids != 0).sum(dim=1)).all()
        rows_at.setdefault(length, set()).add(rows)
    assert len(rows_at) <= 7


def test_the_seed_draws_the_order() -> None:
    data = data_of([10, 20, 30, 40, 50] * 20)
    one, same, other = (plan(data, batch_tokens=256, seed=seed) for seed in (1, 1, 2))
    assert [batch.tolist() for batch in one] == [batch.tolist() for batch in same]
    assert [batch.tolist() for batch in one] != [batch.tolist() for batch in other]


def test_examples_are_encoded_as_the_model_will_read_them() -> None:
    examples = [
        graded("Ada founded Acme.", "Acme was founded.", CONTRADICTED, origin="x"),
        Example("Rex left.", "Dino stayed in Oslo.", similarity=0.25),
    ]
    data = encode(examples, TOKENS)
    batch = collate(data, np.array([1, 0]), pad=TOKENS.pad_id)
    for row, example in ((1, examples[0]), (0, examples[1])):
        (one,) = TOKENS.encode([(example.source, example.claim)])
        assert tuple(batch.ids[row][batch.mask[row] == 1].tolist()) == one.ids
        assert tuple(batch.types[row][batch.mask[row] == 1].tolist()) == one.types
        assert (batch.ids[row][batch.mask[row] == 0] == TOKENS.pad_id).all()
    assert (batch.binary.tolist(), batch.three_way.tolist()) == ([-100, 0], [-100, 2])
    assert batch.similarity[0].item() == pytest.approx(0.25)
    assert math.isnan(batch.similarity[1].item())
