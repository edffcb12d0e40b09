"""A teacher's logits as soft labels: over the mixture, and over pairs that nobody labelled.

The teacher reads every pair once, before the run; what it said is kept in the
run's folder, block by block, so that a run that was killed asks only for the rest.

References:
    Hinton, Vinyals and Dean (2015), Distilling the Knowledge in a Neural Network, section 2.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from ragguard.alignment.training.examples import IGNORE, Example
from ragguard.alignment.training.made import made_examples, usable_sentences
from ragguard.errors import InvalidValueError
from ragguard.models.pair_logits import BINARY, LOGITS, THREE_WAY

Teacher = Callable[[Sequence[tuple[str, str]]], NDArray[np.float32]]
"""Pairs to logits (n, 6), such as `PairEngine.logits`."""
_TABLE, _TOLD = "teacher.npy", "teacher.json"
_BLOCK = 512


def distillation_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of the binary head / ln 2 + of the 3-way head / ln 3, means over rows.

    The units are those of `alignment_loss`, so that the two can be weighed.

    Args:
        logits: the student's, shape (rows, 6).
        teacher: shape (rows, 6); its regression is not learned from.
    """
    total = logits.sum() * 0.0
    for part, classes in ((BINARY, 2), (THREE_WAY, 3)):
        wanted = log_softmax(teacher[:, part], dim=1)
        found = log_softmax(logits[:, part], dim=1)
        total = total + kl_div(found, wanted, reduction="batchmean", log_target=True) / math.log(classes)
    return total


def soft_labels(examples: Sequence[Example], teacher: Teacher, output: Path, *, name: str) -> Tensor:
    """Return the teacher's logits of every example, shape (n, 6), asking only for those not kept.

    Args:
        teacher: reads pairs of source and claim.
        output: the run's folder, where they are kept.
        name: of the teacher and its settings; what another teacher said is not used.

    Raises:
        InvalidValueError: the teacher gave NaN, infinity, or another shape.
    """
    told = {"teacher": name, "pairs": len(examples), "sha256": _digest(examples)}
    table, done = _opened(output, told, len(examples))
    for start in range(done, len(examples), _BLOCK):
        block = examples[start : start + _BLOCK]
        found = np.asarray(teacher([(one.source, one.claim) for one in block]), dtype=np.float32)
        if found.shape != (len(block), LOGITS) or not np.isfinite(found).all():
            raise InvalidValueError("the teacher gave no finite logits", hint="check the teacher's model")
        table[start : start + len(block)] = found
        table.flush()
        _write(output / _TOLD, {**told, "done": start + len(block)})
    return torch.from_numpy(np.array(table))


def unlabelled(passages: Sequence[str], rng: random.Random, *, per_passage: int) -> Iterator[Example]:
    """Yield pairs without labels: what is made by rule, less its label, and claims of other passages.

    Args:
        passages: of any corpus; neighbours in it are often about like things.
        rng: every choice is drawn from it.
        per_passage: sentences of each passage that claims are made of.
    """
    for place, passage in enumerate(passages):
        for one in made_examples(passage, rng, per_passage=per_passage):
            yield replace(one, binary=IGNORE, three_way=IGNORE, similarity=None, origin="unlabelled: made")
        others = usable_sentences(passages[(place + 1) % len(passages)])
        if per_passage and others and len(passages) > 1:
            yield Example(passage, rng.choice(others), origin="unlabelled: neighbour")


def _opened(output: Path, told: dict[str, object], rows: int) -> tuple[np.memmap, int]:
    path = output / _TABLE
    try:
        kept = json.loads((output / _TOLD).read_text(encoding="utf-8"))
        done = int(kept.pop("done"))
        table = np.lib.format.open_memmap(path, mode="r+")
        if kept == told and table.shape == (rows, LOGITS) and table.dtype == np.float32:
            return table, done
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # none yet, or damaged: asked anew
    (output / _TOLD).unlink(missing_ok=True)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, LOGITS)), 0


def _digest(examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    for one in examples:
        for text in (one.source, one.claim):
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()


def _write(path: Path, told: dict[str, object]) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(told), encoding="utf-8")
    new.replace(path)
