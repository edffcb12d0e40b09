from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.conformal.artifact import Category
from ragguard.conformal.calibrate import Provided, Settings, calibrate
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.scores import SCORES
from ragguard.errors import ArtifactCorruptedError, CalibrationMismatchError
from tests.conformal.populations import artifact, at_distances, calibration, examples

LIVE = {
    "embedder": {"name": "minilm", "dtype": "float32", "normalise": True},
    "index": {"kind": "flat", "passages": [1, 2, (3, 4)]},
    "filters": ("lang", "en"),
    "rewriting": None,
}


def serving(fingerprints: dict[str, object]) -> Calibration:
    return calibration(fingerprints=fingerprints)


def test_the_same_settings_are_accepted() -> None:
    serving(LIVE).verify(LIVE)


def test_every_difference_is_named_with_both_values() -> None:
    live = {
        **LIVE,
        "embedder": {"name": "bge", "dtype": "float16", "normalise": True},
        "filters": ["lang", "fr"],
        "reranker": "new",
    }
    with pytest.raises(CalibrationMismatchError) as caught:
        serving(LIVE).verify(live)
    assert caught.value.details["differences"] == [
        "embedder.dtype was 'float32', is 'float16'",
        "embedder.name was 'minilm', is 'bge'",
        "filters was ('lang', 'en'), is ['lang', 'fr']",
        "reranker was None, is 'new'",
    ]
    assert all(d in str(caught.value) for d in caught.value.details["differences"])


@pytest.mark.parametrize(
    "path", [("embedder", "name"), ("embedder", "dtype"), ("index", "passages"), ("filters",)]
)
def test_a_setting_that_is_gone_differs(path: tuple[str, ...]) -> None:
    live = {k: dict(v) if isinstance(v, dict) else v for k, v in LIVE.items()}
    inner = live if len(path) == 1 else live[path[0]]
    del inner[path[-1]]  # type: ignore[union-attr, arg-type]
    with pytest.raises(CalibrationMismatchError) as caught:
        serving(LIVE).verify(live)
    (difference,) = caught.value.details["differences"]
    assert difference.startswith(".".join(path) + " was ")


def test_a_mapping_in_place_of_a_value_differs() -> None:
    with pytest.raises(CalibrationMismatchError):
        serving({"a": {"b": 1}}).verify({"a": 1})


def test_tuples_equal_lists_at_any_depth_as_they_do_after_loading(tmp_path: object) -> None:
    tuples = {"a": ((1, 2), {"b": (3, [4])}), "c": [(5,)]}
    lists = {"a": [[1, 2], {"b": [3, [4]]}], "c": [[5]]}
    serving(tuples).verify(lists)
    serving(lists).verify(tuples)
    folder = str(tmp_path)
    serving(tuples).save(folder)
    Calibration.load(folder).verify(tuples)


def test_keys_that_are_no_text_are_named_like_any_other() -> None:
    with pytest.raises(CalibrationMismatchError, match="2 was None, is 'x'"):
        serving({"a": 1}).verify({"a": 1, 2: "x"})  # type: ignore[dict-item]


# --- the corpus --------------------------------------------------------------------------


def corpus(count: int, tolerance: float = 0.1) -> Calibration:
    return calibration(tolerance=tolerance, arrays={"passages": np.arange(count, dtype=np.uint64)})


def test_an_unchanged_corpus_has_changed_by_nothing() -> None:
    change = corpus(100).corpus_change(np.arange(100, dtype=np.uint64)[::-1])
    assert change is not None
    assert (change.added, change.removed, change.share) == (0, 0, 0.0)


def test_added_and_removed_passages_are_counted() -> None:
    change = corpus(100).corpus_change(np.arange(3, 104, dtype=np.uint64))
    assert change is not None
    assert (change.added, change.removed) == (4, 3)
    assert change.share == pytest.approx(0.07)


@pytest.mark.parametrize(("changed", "accepted"), [(10, True), (11, False)])
def test_a_share_beyond_the_tolerance_is_refused(changed: int, accepted: bool) -> None:
    live = np.arange(100 + changed, dtype=np.uint64)
    if accepted:
        assert corpus(100).corpus_change(live) is not None
        return
    with pytest.raises(CalibrationMismatchError, match=r"11\.0% of the passages changed") as caught:
        corpus(100).corpus_change(live)
    assert caught.value.details == {"added": 11, "removed": 0, "share": 0.11}


def test_an_unknown_corpus_is_not_compared() -> None:
    assert corpus(10).corpus_change(None) is None
    assert calibration().corpus_change(np.arange(10)) is None


@examples()
@given(st.sets(st.integers(0, 50)), st.sets(st.integers(0, 50)))
def test_the_counts_are_those_of_the_sets(known: set[int], live: set[int]) -> None:
    made = calibration(tolerance=1.0, arrays={"passages": np.array(sorted(known), dtype=np.uint64)})
    share = len(known ^ live) / max(1, len(known))
    if share > 1:
        with pytest.raises(CalibrationMismatchError):
            made.corpus_change(np.array(sorted(live), dtype=np.uint64))
        return
    change = made.corpus_change(np.array(sorted(live), dtype=np.uint64))
    assert change is not None
    assert (change.added, change.removed) == (len(live - known), len(known - live))
    assert change.share == pytest.approx(share)


# --- arrays and thresholds ---------------------------------------------------------------


def test_a_calibration_without_its_arrays_is_corrupted() -> None:
    with pytest.raises(ArtifactCorruptedError, match="tops"):
        Calibration(artifact(), {})
    with pytest.raises(ArtifactCorruptedError, match=r"scores.*weights"):
        Calibration(artifact(None, weighting="exact"), {"tops": np.zeros(3)})


@pytest.mark.parametrize(
    "tops", [np.zeros((2, 2)), np.array(["a"]), np.array([np.nan]), np.array(3.0), np.array([1, 2])]
)
def test_a_malformed_array_is_corrupted(tops: np.ndarray) -> None:
    with pytest.raises(ArtifactCorruptedError, match="'tops'"):
        Calibration(artifact(), {"tops": tops})


def test_scores_and_weights_of_different_length_are_corrupted() -> None:
    arrays = {"tops": np.zeros(3), "scores": np.zeros(3), "weights": np.ones(2)}
    with pytest.raises(ArtifactCorruptedError, match="one weight a score"):
        Calibration(artifact(None, weighting="exact"), arrays)


def test_a_category_without_a_threshold_is_corrupted_unless_weighted() -> None:
    with pytest.raises(ArtifactCorruptedError, match="category without a threshold"):
        calibration(None)
    made = calibration(None, weighting="exact", arrays={"scores": np.arange(20.0), "weights": np.ones(20)})
    assert made.threshold("") == 18.0


def test_the_most_any_question_keeps_is_by_the_loosest_threshold_and_the_cap() -> None:
    categories = {
        "a": Category(threshold=0.2, n=40, members=("a",)),
        "rest": Category(threshold=0.5, n=40, members=("b",)),
    }
    similarities = np.array([0.9, 0.75, 0.5, 0.4])
    assert calibration(categories=categories).most_kept(similarities) == 3
    assert calibration(categories=categories, cap=2).most_kept(similarities) == 2
    assert calibration(categories=categories).most_kept(np.empty(0)) == 0


@pytest.mark.parametrize("name", SCORES)
def test_a_loaded_calibration_scores_as_the_one_saved(name: str, tmp_path: object) -> None:
    questions = at_distances(np.random.default_rng(0).random(60))
    made = calibrate(questions, Settings(score=name), provided=Provided(fingerprints=LIVE))
    made.save(str(tmp_path))
    loaded = Calibration.load(str(tmp_path))
    similarities = np.sort(np.random.default_rng(1).random(9))[::-1]
    np.testing.assert_array_equal(loaded.score(similarities), made.score(similarities))
    assert loaded.artifact.id == made.artifact.id
    assert loaded.threshold("") == made.threshold("")
