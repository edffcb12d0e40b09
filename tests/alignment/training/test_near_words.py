from __future__ import annotations

import numpy as np

from ragguard.alignment.training.near_words import NearWords

WORDS = "[CLS] blue green blues table chair movie film ##ing car".split()
VOCABULARY = {name: i for i, name in enumerate([*WORDS, *(f"other{chr(97 + i)}" for i in range(26))])}


def table() -> np.ndarray:
    """blue and green near, film and movie nearly the same, the others far."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(64, 64)))[0].astype(np.float32)
    rows = {name: basis[i] for name, i in VOCABULARY.items()}
    rows["green"] = 0.55 * rows["blue"] + 0.83 * basis[50]
    rows["blues"] = 0.6 * rows["blue"] + 0.8 * basis[51]
    rows["film"] = 0.95 * rows["movie"] + 0.31 * basis[52]
    return np.stack([rows[name] for name in VOCABULARY])


def test_a_near_word_is_of_another_stem_and_not_an_equal() -> None:
    near = NearWords(VOCABULARY, table())
    assert near("blue") == ("green",)
    assert "film" not in near("movie")
    assert near("table") == ()


def test_pieces_short_words_and_unknown_ones_have_no_neighbours() -> None:
    near = NearWords(VOCABULARY, table())
    assert [near(word) for word in ("##ing", "car", "unheard", "")] == [()] * 4
