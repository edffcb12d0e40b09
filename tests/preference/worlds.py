"""Preferences written out by hand, and a base small enough to train in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ragguard.models.pair_model import PairModel
from ragguard.preference.recipe import Settings
from ragguard.preference.records import PreferenceExample
from tests.models.random_models import bert_tokenizer, random_config, random_pair_model

QUICK = Settings(epochs=2, learning_rate=2e-3, weighting="equal", max_tokens=96)


def tiny_base(seed: int = 0) -> PairModel:
    return random_pair_model(kind="bert", layers=1, width=64, max_tokens=128, seed=seed)


def example(q: str = "q1", p: str = "p1", g: float = 0.0, /, **changed: Any) -> PreferenceExample:
    """One example; ids double as texts, and the category follows the gain's sign unless given."""
    gain = changed.get("gain", g)
    category = "aligned" if gain > 0 else "unaligned" if gain < 0 else "both_wrong"
    fields = {
        "query_id": q,
        "query": f"Where is the {q} of the town?",
        "passage_id": p,
        "passage": f"The {p} is near the river.",
        "category": category,
        "gain": g,
        "reader": "reader-a",
    }
    return PreferenceExample(**{**fields, **changed})


def tiny_cross_encoder(folder: Path, *, outputs: int = 1, seed: int = 0) -> Path:
    """Write a sentence-transformers CrossEncoder with random weights, and return its folder."""
    import torch
    from tokenizers import Tokenizer
    from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

    config = random_config(kind="bert", layers=1)
    config.num_labels = outputs
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = BertForSequenceClassification(config)
        for parameter in network.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, 0.0, 0.4)
    network.save_pretrained(folder)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(bert_tokenizer()),
        model_max_length=128,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **names,
    ).save_pretrained(folder)
    return folder
