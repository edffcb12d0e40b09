"""Vectors are kept for a while, texts are not."""

from __future__ import annotations

import numpy as np

from ragguard.testing import HashEmbedder
from ragguard.trace.memory import LatelyEmbedded


def test_a_text_asked_for_again_is_not_embedded_again() -> None:
    embedder = HashEmbedder()
    lately = LatelyEmbedded(embedder)
    first = lately(["a b", "c d", "a b"])
    again = lately(["c d", "a b", "e f"])
    assert embedder.embedded == 3
    assert set(again) == {"a b", "c d", "e f"}
    np.testing.assert_array_equal(first["a b"], again["a b"])


def test_only_the_last_ones_are_kept() -> None:
    embedder = HashEmbedder()
    lately = LatelyEmbedded(embedder, most=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        lately([text])
    assert embedder.embedded == 4
    assert set(lately(["a", "b", "c", "d"])) == {"a", "b", "c", "d"}


def test_nothing_asked_for_embeds_nothing() -> None:
    embedder = HashEmbedder()
    assert LatelyEmbedded(embedder)([]) == {}
    assert embedder.embedded == 0


def test_no_text_stays_in_memory() -> None:
    lately = LatelyEmbedded(HashEmbedder())
    lately(["zyzzogeton7391 opens the vault"])
    assert "zyzzogeton7391" not in repr(vars(lately))
