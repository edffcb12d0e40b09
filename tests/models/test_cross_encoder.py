"""A cross-encoder of one output: the library's own order, whole questions, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

from ragguard.errors import DeadlineExceededError, QuestionTooLongError, UnreadableFileError
from ragguard.models.cross_encoder import CrossEncoderScorer, is_cross_encoder
from ragguard.preference.reranker import PreferenceReranker
from ragguard.worker import deadline
from tests.models.random_models import TEXTS, bert_tokenizer, random_config

QUESTION = "who bought dino"
PASSAGES = [*TEXTS, TEXTS[0]]


def cross_encoder(folder: Path, *, outputs: int = 1) -> Path:
    """Write a random classifier with so many outputs, its weights spread out."""
    config = random_config(kind="bert", positions=96)
    config.num_labels = outputs
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = BertForSequenceClassification(config)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.data.normal_(0.0, 0.3)
    model.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(bert_tokenizer()),
        model_max_length=96,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cross_encoder(tmp_path_factory.mktemp("models") / "cross")


def test_orders_as_the_library_does(folder: Path) -> None:
    scorer = CrossEncoderScorer(folder)
    found = scorer.score_pairs([(QUESTION, p) for p in PASSAGES])
    library = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    theirs = library.predict(
        [(QUESTION, p) for p in PASSAGES], activation_fn=torch.nn.Identity(), show_progress_bar=False
    )
    np.testing.assert_allclose(found, theirs, atol=1e-5)
    ranked = PreferenceReranker(folder).rank(QUESTION, PASSAGES)
    best_first = [one["corpus_id"] for one in library.rank(QUESTION, PASSAGES[:-1])]
    assert [one.index for one in ranked if one.index < len(TEXTS)] == best_first
    # The first passage occurs twice: both stand together, the earlier first.
    order = [one.index for one in ranked]
    assert order.index(5) == order.index(0) + 1


def test_nothing_of_a_question_is_cut_and_a_long_passage_counts_as_its_best_window(folder: Path) -> None:
    scorer = CrossEncoderScorer(folder)
    long = " ".join(TEXTS * 3)
    assert np.isfinite(scorer.score_pairs([(QUESTION, long)])).all()
    with pytest.raises(QuestionTooLongError):
        scorer.score_pairs([(long, TEXTS[0])])


def test_looks_at_the_deadline_between_passes(folder: Path) -> None:
    scorer = CrossEncoderScorer(folder, batch=1)
    scorer.warm_up()
    with deadline(1e-9), pytest.raises(DeadlineExceededError):
        scorer.score_pairs([(QUESTION, p) for p in PASSAGES])


def test_is_told_apart_from_other_models_by_its_one_output(folder: Path, tmp_path: Path) -> None:
    assert is_cross_encoder(folder)
    assert not is_cross_encoder(cross_encoder(tmp_path / "two", outputs=2))
    assert not is_cross_encoder(tmp_path)
    with pytest.raises(UnreadableFileError, match="nothing"):
        CrossEncoderScorer(tmp_path / "nothing")


def test_no_pairs_have_no_scores(folder: Path) -> None:
    assert CrossEncoderScorer(folder).score_pairs([]).shape == (0,)


def test_the_weights_are_its_identity(folder: Path, tmp_path: Path) -> None:
    same = CrossEncoderScorer(folder).fingerprint()
    assert same == CrossEncoderScorer(folder).fingerprint()
    other = cross_encoder(tmp_path / "other")
    weights = next(other.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    assert CrossEncoderScorer(other).fingerprint() != same
