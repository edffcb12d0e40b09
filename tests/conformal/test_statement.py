from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.conformal.artifact import Category
from ragguard.conformal.statement import statement
from tests.conformal.populations import artifact, examples

ANY = {"": Category(threshold=0.5, n=40, rank=37)}
GROUPS = {"a": Category(threshold=0.5, n=40, rank=37), "rest": Category(threshold=0.6, n=40, rank=37)}


@examples()
@given(
    st.floats(0.01, 0.99),
    st.one_of(st.none(), st.floats(0.01, 0.99)),
    st.sampled_from(["any", "all", "recall"]),
    st.integers(1, 10**6),
    st.sampled_from([None, "exact", "estimated"]),
    st.sampled_from([ANY, GROUPS]),
)
def test_the_statement_names_its_numbers_and_never_says_correct(
    alpha: float,
    delta: float | None,
    target: str,
    n: int,
    weighting: str | None,
    categories: dict[str, Category],
) -> None:
    said = statement(
        artifact(alpha=alpha, delta=delta, target=target, n=n, weighting=weighting, categories=categories)
    )
    assert "correct" not in said.lower()
    assert "true" not in said.lower()
    assert f"at least {1 - alpha:.4g}" in said
    assert f"n={n}" in said
    assert (f"with confidence {1 - (delta or 0):.4g}" in said) is (delta is not None)
    assert ("on average over calibration sets" in said) is (delta is None)
    assert said.startswith("For answerable questions like those calibrated on, ")
    assert re.fullmatch(r"[^.]*(\.\d[^.]*)*\.", said), "one sentence"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            "any",
            "at least one passage that answers the question is among those kept with probability at least 0.9",
        ),
        ("all", "every passage that the answer needs is among those kept with probability at least 0.9"),
        ("recall", "the expected share of the relevant passages kept is at least 0.9"),
    ],
)
def test_each_target_has_its_own_promise(target: str, said: str) -> None:
    assert said in statement(artifact(target=target))


def test_a_promise_by_groups_says_so() -> None:
    assert "within its group" in statement(artifact(categories=GROUPS))
    assert "within its group" not in statement(artifact())
