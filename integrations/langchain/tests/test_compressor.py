"""The reranker as a document compressor: order, copies, fallback."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from numpy.typing import NDArray

from langchain_ragguard import PreferenceCompressor
from langchain_ragguard.testing.compressor_suite import CompressorSuite
from ragguard.preference.reranker import PreferenceReranker

QUERY = "which number"


class SaysOf:
    """A user's own scorer: what a function says of a passage."""

    def __init__(self, says: Callable[[str], float]) -> None:
        self._says = says

    def score_pairs(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float64]:
        return np.array([self._says(passage) for _, passage in pairs])

    def fingerprint(self) -> dict[str, str]:
        return {"scorer": "function"}


def by_number(passage: str) -> float:
    return float(passage.split()[-1])


def documents(*numbers: float) -> list[Document]:
    return [
        Document(
            id=f"d{i}",
            page_content=f"says {n}",
            metadata={"source": {"page": i}, "ragguard": {"retrieval_score": 0.5}},
        )
        for i, n in enumerate(numbers)
    ]


def compressor(says: Callable[[str], float] = by_number, **options: int) -> PreferenceCompressor:
    return PreferenceCompressor(reranker=PreferenceReranker(SaysOf(says)), **options)


def test_orders_as_the_reranker_does_and_keeps_what_documents_carry() -> None:
    given = documents(1, 3, 2, 3)
    before = copy.deepcopy(given)
    found = compressor().compress_documents(given, QUERY)
    ranked = PreferenceReranker(SaysOf(by_number)).rank(QUERY, [d.page_content for d in given])
    assert [d.id for d in found] == [f"d{one.index}" for one in ranked] == ["d1", "d3", "d2", "d0"]
    assert [d.metadata["ragguard"]["reranker_score"] for d in found] == [one.score for one in ranked]
    assert found[0].metadata["source"] == {"page": 1}
    assert found[0].metadata["ragguard"]["retrieval_score"] == 0.5
    assert given == before


def test_returns_no_more_than_wanted_and_nothing_of_nothing() -> None:
    assert [d.id for d in compressor(top_n=1).compress_documents(documents(1, 3, 2), QUERY)] == ["d1"]
    assert compressor().compress_documents([], QUERY) == []


def test_keeps_the_order_given_where_scores_cannot_be_had() -> None:
    found = compressor(lambda _: float("nan")).compress_documents(documents(1, 3, 2), QUERY)
    assert [d.id for d in found] == ["d0", "d1", "d2"]
    assert {d.metadata["ragguard"]["fallback"] for d in found} == {"scoring"}


def test_the_score_stands_where_other_rerankers_write_theirs_too() -> None:
    found = compressor().compress_documents(documents(1, 3), QUERY)
    assert [d.metadata["relevance_score"] for d in found] == [
        d.metadata["ragguard"]["reranker_score"] for d in found
    ]
    (unscored,) = compressor(lambda _: float("nan")).compress_documents(documents(1), QUERY)
    assert "relevance_score" not in unscored.metadata


@pytest.mark.parametrize("where", ["sync", "async"])
async def test_it_is_a_run_with_a_name(where: str) -> None:
    names: list[str] = []

    class Runs(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            names.append(kwargs["name"])

    one = compressor()
    if where == "sync":
        one.compress_documents(documents(1), QUERY, callbacks=[Runs()])
    else:
        await one.acompress_documents(documents(1), QUERY, callbacks=[Runs()])
    assert names == ["ragguard.rerank"]


class TestPreferenceCompressor(CompressorSuite):
    @pytest.fixture
    def compressor(self) -> PreferenceCompressor:
        return compressor(lambda passage: float(len(passage)))

    @pytest.fixture
    def documents(self) -> list[Document]:
        return documents(1, 30, 2)

    @pytest.fixture
    def query(self) -> str:
        return QUERY
