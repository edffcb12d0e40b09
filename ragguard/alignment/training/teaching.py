"""What a recipe's teacher adds to a run: pairs without labels, and its logits of every pair."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from torch import Tensor

from ragguard.alignment.training.distilling import soft_labels, unlabelled
from ragguard.alignment.training.examples import Example
from ragguard.alignment.training.mixture import passages_of
from ragguard.alignment.training.recipe import Recipe
from ragguard.models.pair_engine import PairEngine


def unlabelled_of(recipe: Recipe) -> list[Example]:
    """Return the recipe's pairs without labels; none where it has no teacher.

    Raises:
        UnreadableFileError: a corpus cannot be read.
    """
    if recipe.teacher is None or not recipe.unlabelled:
        return []
    passages = passages_of(recipe.model_copy(update={"corpora": recipe.unlabelled}))
    return list(
        unlabelled(passages, random.Random(recipe.seed + 1), per_passage=recipe.unlabelled_per_passage)
    )


def soft_labels_of(recipe: Recipe, examples: Sequence[Example]) -> Tensor | None:
    """Return the logits of the recipe's teacher for every example, shape (n, 6), or None without a teacher.

    Raises:
        UnreadableFileError: there is no such model.
        ScoringError: it gave NaN or infinity.
    """
    if recipe.teacher is None:
        return None
    engine = PairEngine(recipe.teacher, cache_size=0)
    name = json.dumps(engine.fingerprint(), sort_keys=True)
    return soft_labels(examples, engine.logits, recipe.output, name=name)
