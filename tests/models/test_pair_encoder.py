"""The three heads: which of the six numbers is which, and what may change them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ragguard.models import pair_encoder
from ragguard.models.bundled import bundled_folder
from ragguard.models.pair_encoder import ALIGNED, BINARY, ENTAILED, LOGITS, REGRESSION, THREE_WAY, PairEncoder
from ragguard.models.pair_logits import LOGIT_NAMES
from tests.models.random_models import logits_of, random_config, random_pair_model

PAIR = ("The bridge opened in 1978.", "The bridge opened in 1987.")


def with_biases(encoder: PairEncoder, *, tri: list[float], binary: list[float], reg: float) -> PairEncoder:
    """Heads that say the same of every pair."""
    for layer, values in ((encoder.tri_layer, tri), (encoder.bin_layer, binary), (encoder.reg_layer, [reg])):
        nn.init.zeros_(layer.weight)
        layer.bias = nn.Parameter(torch.tensor(values), requires_grad=False)
    return encoder


def test_the_heads_are_read_from_their_own_columns() -> None:
    model = random_pair_model()
    with_biases(model.encoder, tri=[5.0, 0.0, 0.0], binary=[0.0, 5.0], reg=-3.5)
    row = logits_of(model, [PAIR])[0]
    assert row[REGRESSION] == -3.5
    assert float(row[BINARY].softmax(0)[ALIGNED]) == pytest.approx(1 / (1 + np.exp(-5)), abs=1e-6)
    assert float(row[THREE_WAY].softmax(0)[ENTAILED]) == pytest.approx(1 / (1 + 2 * np.exp(-5)), abs=1e-6)


def test_every_column_belongs_to_one_head_and_has_a_name() -> None:
    columns = [REGRESSION, *range(LOGITS)[BINARY], *range(LOGITS)[THREE_WAY]]
    assert columns == list(range(LOGITS))
    assert LOGIT_NAMES[REGRESSION] == "regression"
    assert LOGIT_NAMES[BINARY][ALIGNED] == "aligned"
    assert LOGIT_NAMES[THREE_WAY] == ("entailed", "neutral", "contradicted")
    assert [pair_encoder.ENTAILED, pair_encoder.NEUTRAL, pair_encoder.CONTRADICTED] == [0, 1, 2]


def test_the_logits_are_the_formula_written_out() -> None:
    model = random_pair_model()
    encoder = model.encoder
    one = model.tokens.encode([PAIR])[0]
    ids = torch.tensor([one.ids])
    hidden = encoder.base_model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0]
    dense = encoder.base_model.pooler.dense
    pooled = torch.tanh(hidden @ dense.weight.T + dense.bias)
    heads = [encoder.reg_layer, encoder.bin_layer, encoder.tri_layer]
    expected = torch.cat([pooled @ head.weight.T + head.bias for head in heads], dim=1)
    torch.testing.assert_close(encoder(ids, torch.ones_like(ids)), expected)


@pytest.mark.parametrize("kind", ["roberta", "bert"])
def test_padding_changes_nothing(kind: str) -> None:
    model = random_pair_model(kind=kind)
    one = model.tokens.encode([PAIR])[0]
    spare = 128 - len(one.ids)

    def padded(values: tuple[int, ...], filler: int) -> Tensor:
        return torch.tensor([[*values, *[filler] * spare]])

    mask = padded((1,) * len(one.ids), 0)
    types = padded(one.types, 0) if model.uses_segments else None
    found = model.encoder(padded(one.ids, model.tokens.pad_id), mask, types)
    torch.testing.assert_close(found, logits_of(model, [PAIR]), atol=1e-4, rtol=0)


def test_which_text_is_the_source_matters() -> None:
    for kind in ("roberta", "bert"):
        model = random_pair_model(kind=kind)
        there, back = logits_of(model, [PAIR, PAIR[::-1]])
        assert float((there - back).abs().max()) > 1e-3


def test_dropout_reaches_the_binary_and_the_3_way_head_only() -> None:
    encoder = PairEncoder(random_pair_model().encoder.base_model, dropout=0.5)
    encoder.train()
    encoder.base_model.eval()
    ids = torch.tensor([[0, 5, 2, 2, 6, 2]])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rows = torch.stack([encoder(ids, torch.ones_like(ids))[0] for _ in range(8)])
    spread = rows.detach().std(dim=0)
    assert float(spread[REGRESSION]) == 0.0
    assert bool((spread[BINARY] > 0).all())
    assert bool((spread[THREE_WAY] > 0).all())


def test_all_weights_of_a_fresh_encoder_can_be_trained() -> None:
    encoder = PairEncoder.from_config(random_config(), dropout=0.0)
    ids = torch.tensor([[0, 5, 2, 2, 6, 2]])
    encoder(ids, torch.ones_like(ids)).square().sum().backward()
    without = [name for name, p in encoder.named_parameters() if p.grad is None]
    assert without == []


def test_the_bundled_encoder_gets_fresh_heads_on_its_own_weights() -> None:
    encoder = PairEncoder.from_backbone(bundled_folder(), dropout=0.0)
    assert encoder.tri_layer.weight.shape == (3, 384)
    assert encoder.base_model.config.hidden_dropout_prob == 0.0
    assert encoder.base_model.embeddings.word_embeddings.weight.std() > 0.01
