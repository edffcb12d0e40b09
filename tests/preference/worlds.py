"""Preferences written out by hand, and a base small enough to train in a test."""

from __future__ import annotations

from typing import Any

from ragguard.models.pair_model import PairModel
from ragguard.preference.recipe import Settings
from ragguard.preference.records import PreferenceExample
from tests.models.random_models import random_pair_model

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
