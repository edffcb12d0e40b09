"""A small model on disk whose scores mean something, and a way to run commands in this process."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ragguard.alignment.combiner import Combiner
from ragguard.cli import main
from ragguard.models.pair_logits import CONTRADICTED
from ragguard.models.pair_model import save_pair_model
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


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """The JSON objects of stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def body(self) -> Any:
        """The one JSON object that stdout holds."""
        (found,) = self.lines
        return found


def run(*args: Any, stdin: bytes = b"") -> Done:
    """Run `ragguard align ...` here, as its entry point does."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ragguard", "align", *map(str, args)])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def lines_of(records: Sequence[Any]) -> bytes:
    """JSON Lines of the records."""
    return "".join(json.dumps(record) + "\n" for record in records).encode()
