"""A small model on disk whose scores mean something; `ragguard align` run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ragguard.alignment.combiner import Combiner
from ragguard.models.pair_logits import CONTRADICTED
from ragguard.models.pair_model import save_pair_model
from tests.cli.running import Done, command
from tests.models.random_models import random_pair_model

# The model itself knows nothing: the combiner goes by words alone, so that scores can be foreseen.
BY_WORDS = Combiner(
    ("words_in_sentence", "no_conflict"),
    ((0.0, 1.0), (0.0, 1.0)),
    ((10.0,), (6.0,)),
    -11.0,
    {"balanced": 0.5, "strict": 0.9},
)


def save_model(folder: Path, *, combiner: Combiner | None = BY_WORDS) -> Path:
    """Write a random model, with a combiner beside it unless told not to."""
    model = random_pair_model()
    # Contradictions are then found by the symbolic checks alone.
    model.encoder.tri_layer.weight.data[CONTRADICTED] = 0.0
    model.encoder.tri_layer.bias.data[CONTRADICTED] = -50.0
    save_pair_model(folder, model.encoder, tokenizer=model.tokens.definition, max_tokens=128, card={})
    if combiner is not None:
        (folder / "combiner.json").write_text(combiner.to_json())
    return folder


def run(*args: Any, stdin: bytes = b"") -> Done:
    """Run `ragguard align ...` here, as its entry point does."""
    return command("align", *args, stdin=stdin)
