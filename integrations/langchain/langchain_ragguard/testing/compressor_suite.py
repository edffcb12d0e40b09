"""What is expected of a document compressor, as tests that any package can run on its own.

Subclass the suite in a test module and give it the compressor:

    class TestMyCompressor(CompressorSuite):
        @pytest.fixture
        def compressor(self):
            return MyCompressor()

        @pytest.fixture
        def documents(self):
            return [Document(id="a", page_content="...", metadata={...}), ...]

        @pytest.fixture
        def query(self):
            return "..."

A test that does not apply is overridden with `pytest.mark.xfail(reason=...)`, as in
`langchain-tests`. Asynchronous tests bring their own event loop: no plugin is needed.
"""
# ruff: noqa: S101 - tests are made of asserts

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import RunnableLambda

_ODD_TEXTS = (
    "",
    " \n\t ",
    "\u0000\u200b",
    "e\u0301 \u202eright to left\u202c \U0001f469\u200d\U0001f680",
    "x" * 20_000,
)
_SECRET = "zyzzogeton7391"  # noqa: S105 - a word that occurs nowhere else


class CompressorSuite:
    """The contract; fixtures `compressor`, `documents` (two or more, with ids) and `query`."""

    @pytest.fixture
    def compressor(self) -> BaseDocumentCompressor:
        """The compressor under test."""
        raise NotImplementedError("override the fixture `compressor`")

    @pytest.fixture
    def documents(self) -> list[Document]:
        """Documents as the compressor is given them, with everything that it needs in their metadata."""
        raise NotImplementedError("override the fixture `documents`")

    @pytest.fixture
    def query(self) -> str:
        """A question for which it returns at least one of the documents."""
        raise NotImplementedError("override the fixture `query`")

    @property
    def has_run(self) -> bool:
        """Whether a call shows up as a run of its own, under the callbacks it is given."""
        return True

    @property
    def keeps_text(self) -> bool:
        """Whether what is returned has the text it was given with; False for those that extract."""
        return True

    def test_returns_some_of_the_documents(
        self, compressor: BaseDocumentCompressor, documents: list[Document], query: str
    ) -> None:
        found = compressor.compress_documents(documents, query)
        assert found, "the query is one for which something is kept"
        assert all(isinstance(d, Document) for d in found), "what is returned are documents"
        given = {d.id: d for d in documents}
        assert len({d.id for d in found}) == len(found), "each document comes back once"
        assert {d.id for d in found} <= set(given), "a document keeps its id, and none is made up"
        if self.keeps_text:
            assert all(d.page_content == given[d.id].page_content for d in found), "texts are kept"

    def test_keeps_what_documents_carry(
        self, compressor: BaseDocumentCompressor, documents: list[Document], query: str
    ) -> None:
        given = {d.id: d for d in documents}
        for found in compressor.compress_documents(documents, query):
            lost = set(given[found.id].metadata) - set(found.metadata)
            assert not lost, f"metadata {sorted(lost)} is lost"

    def test_leaves_what_it_is_given_as_it_was(
        self, compressor: BaseDocumentCompressor, documents: list[Document], query: str
    ) -> None:
        before = copy.deepcopy(documents)
        found = compressor.compress_documents(documents, query)
        assert documents == before, "documents belong to the store they came from"
        for document in found:
            document.metadata["changed downstream"] = True
        assert documents == before, "what is returned are copies, their metadata too"

    def test_returns_nothing_of_nothing(
        self, compressor: BaseDocumentCompressor, documents: list[Document], query: str
    ) -> None:
        assert list(compressor.compress_documents([], query)) == []
        assert list(asyncio.run(_acompress(compressor, [], query))) == []

    def test_takes_one_document(
        self, compressor: BaseDocumentCompressor, documents: list[Document], query: str
    ) -> None:
        assert len(compressor.compress_documents(documents[:1], query)) <= 1

    def test_gives_the_same_again_asynchronously_and_on_many_threads(
        self, compressor: BaseDocumentCompressor, documents: list[Document], query: str
    ) -> None:
        alone = list(compressor.compress_documents(documents, query))
        assert list(asyncio.run(_acompress(compressor, documents, query))) == alone
        with ThreadPoolExecutor(8) as pool:
            runs = [pool.submit(compressor.compress_documents, documents, query) for _ in range(16)]
        assert all(list(run.result()) == alone for run in runs), "concurrent calls must not share state"

    def test_what_it_adds_is_json(
        self, compressor: BaseDocumentCompressor, documents: list[Document], query: str
    ) -> None:
        known = {d.id: d.metadata for d in documents}
        for found in compressor.compress_documents(documents, query):
            added = {k: v for k, v in found.metadata.items() if known[found.id].get(k) != v}
            assert json.loads(json.dumps(added, allow_nan=False)) == added, "checkpoints store it as JSON"

    def test_compresses_off_the_event_loop(
        self,
        compressor: BaseDocumentCompressor,
        documents: list[Document],
        query: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        threads: list[int] = []
        compress = type(compressor).compress_documents

        def noted(self: Any, *args: Any, **kwargs: Any) -> Sequence[Document]:
            threads.append(threading.get_ident())
            return compress(self, *args, **kwargs)

        monkeypatch.setattr(type(compressor), "compress_documents", noted)
        asyncio.run(_acompress(compressor, documents, query))
        assert threading.get_ident() not in threads, "acompress runs compress on the event loop's own thread"

    def test_its_run_is_a_child_of_the_callers(
        self, compressor: BaseDocumentCompressor, documents: list[Document], query: str
    ) -> None:
        if not self.has_run:
            return
        for asynchronous in (False, True):
            runs = _Runs()
            asyncio.run(_within_a_run(compressor, documents, query, runs, asynchronous=asynchronous))
            ids = list(runs.parents)
            assert len(ids) > 1, "the call shows up nowhere: pass the callbacks on"
            assert runs.parents[ids[1]] == ids[0], "the run is a child of the one that called"
            assert runs.open == set(), "every run that starts also ends"

    def test_keeps_user_text_out_of_errors(
        self, compressor: BaseDocumentCompressor, documents: list[Document], query: str
    ) -> None:
        for text in _ODD_TEXTS:
            odd = [d.model_copy(update={"page_content": f"{_SECRET} {text}"}) for d in documents]
            for given, asked in ((odd, query), (documents, f"{_SECRET} {text}")):
                said = _error_of(compressor, given, asked)
                assert _SECRET not in said, "an error quotes the user's text"


def _error_of(compressor: BaseDocumentCompressor, documents: list[Document], query: str) -> str:
    try:
        compressor.compress_documents(documents, query)
    except Exception as error:  # noqa: BLE001 - whatever it raises, it may not quote
        return str(error)
    return ""


class _Runs(BaseCallbackHandler):
    """The runs that started, by id, with their parents."""

    def __init__(self) -> None:
        self.parents: dict[Any, Any] = {}
        self.open: set[Any] = set()

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self._start(**kwargs)

    def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
        self._start(**kwargs)

    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        self._start(**kwargs)

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.open.discard(kwargs["run_id"])

    def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
        self.open.discard(kwargs["run_id"])

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        self.open.discard(kwargs["run_id"])

    def _start(self, *, run_id: Any, parent_run_id: Any, **_: Any) -> None:
        self.parents[run_id] = parent_run_id
        self.open.add(run_id)


async def _within_a_run(
    compressor: BaseDocumentCompressor,
    documents: list[Document],
    query: str,
    runs: _Runs,
    *,
    asynchronous: bool,
) -> None:
    """Call the compressor as a retriever does: inside a run, with a child of its callbacks."""

    def compressed(_: str, config: Any) -> Any:
        return compressor.compress_documents(documents, query, callbacks=config["callbacks"])

    async def acompressed(_: str, config: Any) -> Any:
        return await compressor.acompress_documents(documents, query, callbacks=config["callbacks"])

    if asynchronous:
        await RunnableLambda(acompressed).ainvoke(query, {"callbacks": [runs]})
    else:
        RunnableLambda(compressed).invoke(query, {"callbacks": [runs]})


async def _acompress(
    compressor: BaseDocumentCompressor, documents: Sequence[Document], query: str
) -> Sequence[Document]:
    return await compressor.acompress_documents(documents, query)
