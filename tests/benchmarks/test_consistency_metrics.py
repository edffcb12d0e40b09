from __future__ import annotations

import numpy as np
import pytest

from benchmarks.consistency_metrics import mean_draws, shared_threshold


def test_a_shared_threshold_weighs_sets_and_not_items() -> None:
    small = np.array([0.1, 0.3]), np.array([0, 1])  # 0.2 parts it
    large = np.repeat([0.25, 0.7], 50), np.repeat([0, 1], 50)  # 0.5 parts it
    assert shared_threshold([small, large]) == pytest.approx(0.275)  # parts both


def test_sets_of_one_label_alone_choose_no_shared_threshold() -> None:
    assert np.isnan(shared_threshold([(np.array([0.1, 0.9]), np.array([1, 1]))]))


def test_domains_of_one_family_count_as_one_set() -> None:
    draws = {"a": np.array([1.0]), "b": np.array([0.0]), "c": np.array([0.2])}
    assert mean_draws(draws, {"ab": ["a", "b"], "c": ["c"]}) == pytest.approx([0.35])
