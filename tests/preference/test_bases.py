from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ragguard.errors import ConfigurationError, InvalidValueError, UnreadableFileError
from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_model import load_pair_model
from ragguard.models.relevance import RelevanceScorer
from ragguard.preference.bases import CrossEncoderBase, PairBase, base_of
from ragguard.preference.batches import represented, tensors
from ragguard.preference.card import KIND, CrossEncoderScorer
from tests.models.random_models import logits_of, random_pair_model
from tests.preference.worlds import tiny_base, tiny_cross_encoder

PAIRS = [("Where is Ada?", "Ada founded Acme."), ("Is it 4%?", "Growth rose from 4% to 6%, and more.")]
CARD = {"kind": KIND, "reader": "reader-a"}


def scores(base: PairBase | CrossEncoderBase) -> np.ndarray:
    found = []
    for pair in PAIRS:
        batch = tensors(base.encode([pair]), pad=base.pad_id, max_tokens=base.max_tokens)
        with torch.inference_mode():
            found.append(float(base.score(base.represent(*batch))[0]))
    return np.array(found)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_pair_models_score_is_its_binary_heads_log_odds(kind: str) -> None:
    model = random_pair_model(kind=kind)
    two = logits_of(model, [(passage, question) for question, passage in PAIRS])[:, 1:3]
    assert scores(PairBase(model)) == pytest.approx((two[:, 1] - two[:, 0]).numpy(), abs=1e-4)


def test_the_representations_are_what_the_head_reads() -> None:
    base = PairBase(tiny_base())
    z = represented(base, tensors(base.encode(PAIRS), pad=base.pad_id, max_tokens=base.max_tokens))
    assert z.shape == (8, 64)  # rows are filled up
    assert z.dtype == torch.float32


def test_training_a_base_leaves_the_model_it_came_from_alone() -> None:
    model = tiny_base()
    before = {name: t.clone() for name, t in model.encoder.state_dict().items()}
    base = PairBase(model)
    with torch.no_grad():
        for parameter in base.trainable(freeze_embeddings=False).values():
            parameter.add_(1.0)
    assert all(torch.equal(t, before[name]) for name, t in model.encoder.state_dict().items())


def test_heads_that_no_score_is_read_from_are_not_trained() -> None:
    trained = PairBase(tiny_base()).trainable(freeze_embeddings=True)
    assert "bin_layer.weight" in trained
    assert not [name for name in trained if name.startswith(("tri_layer", "reg_layer")) or "word_emb" in name]
    assert "base_model.embeddings.word_embeddings.weight" in PairBase(tiny_base()).trainable(
        freeze_embeddings=False
    )


def test_a_saved_pair_base_scores_identically_through_the_engine(tmp_path: Path) -> None:
    base = PairBase(tiny_base())
    with torch.no_grad():
        base.head()[0].mul_(1.5)
    folder = base.save(tmp_path / "model", CARD)
    again = PairBase(load_pair_model(folder))
    assert np.array_equal(scores(again), scores(base))
    engine = RelevanceScorer(PairEngine(folder, dtype="float32")).score_pairs(PAIRS)
    assert engine == pytest.approx(scores(base), abs=1e-4)


def test_a_cross_encoders_score_is_its_one_logit(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "ce")
    base = base_of(folder)
    assert isinstance(base, CrossEncoderBase)
    assert scores(base) == pytest.approx(CrossEncoderScorer(folder).score_pairs(PAIRS), abs=1e-4)


def test_a_saved_cross_encoder_ranks_the_same_in_its_own_library(tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    base = base_of(tiny_cross_encoder(tmp_path / "ce"))
    assert isinstance(base, CrossEncoderBase)
    with torch.no_grad():
        base.head()[0].mul_(-2.0)
    folder = base.save(tmp_path / "trained", CARD)
    assert np.array_equal(scores(CrossEncoderBase(folder)), scores(base))
    passages = [passage for _, passage in PAIRS]
    ranked = CrossEncoder(str(folder), device="cpu").rank("Where is Ada?", passages)
    mine = CrossEncoderScorer(folder).score_pairs([("Where is Ada?", p) for p in passages])
    assert [int(one["corpus_id"]) for one in ranked] == list(np.argsort(-mine))


def test_a_cross_encoder_of_two_outputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="has 2 outputs"):
        base_of(tiny_cross_encoder(tmp_path / "two", outputs=2))


def test_a_question_is_never_cut(tmp_path: Path) -> None:
    question, passage = "Where is Ada of Oslo?", "The bridge over the river opened in 1978. " * 40
    for base in (
        PairBase(tiny_base(), max_tokens=48),
        CrossEncoderBase(tiny_cross_encoder(tmp_path / "c"), max_tokens=48),
    ):
        (ids, kinds), (short, _) = base.encode([(question, passage), (question, "")])
        assert len(ids) == len(kinds) == 48
        asked = set(short)
        assert asked <= set(ids)


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no folder 'absent'"):
        base_of(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="empty is no CrossEncoder"):
        base_of(tmp_path / "empty")


def test_nothing_else_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    for base in (PairBase(tiny_base()), base_of(tiny_cross_encoder(tmp_path / "ce"))):
        with pytest.raises(InvalidValueError, match="notes exists"):
            base.save(tmp_path / "notes", CARD)


def test_an_altered_model_is_not_loaded(tmp_path: Path) -> None:
    folder = PairBase(tiny_base()).save(tmp_path / "model", CARD)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(UnreadableFileError):
        base_of(folder)
