from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from langchain_ragguard import GuardedRetriever
from langchain_ragguard.testing import HashEmbeddings
from langchain_ragguard.tools import guarded_retriever_tool
from ragguard import Report

QUESTION = "What is the hardness of nickel?"
NOVEL = "Who painted the ceiling?"
TEXTS = [f"Record {i} is about topic {'abcdefghij'[i % 10]} in year {1900 + i}." for i in range(30)]


def small() -> GuardedRetriever:
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_documents([Document(id=f"r{i}", page_content=text) for i, text in enumerate(TEXTS)])
    questions = [{"id": f"q{i}", "question": text, "relevant": [f"r{i}"]} for i, text in enumerate(TEXTS)]
    return GuardedRetriever.calibrate(store, questions, k=5, higher_is_better=True, alpha=0.2)


class _Standard:
    @property
    def tool_constructor(self) -> BaseTool:
        return guarded_retriever_tool(small(), "search_records", "Looks records up.")

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": TEXTS[7]}


class TestStandardUnit(_Standard, ToolsUnitTests):
    """LangChain's own suite for tools, without a run."""


class TestStandardIntegration(_Standard, ToolsIntegrationTests):
    """LangChain's own suite for tools, run."""


@pytest.fixture
def search(guarded: GuardedRetriever) -> BaseTool:
    return guarded_retriever_tool(guarded, "search_metals", "Looks facts about metals up.")


def called(tool: BaseTool, query: str) -> ToolMessage:
    message = tool.invoke({"name": tool.name, "args": {"query": query}, "id": "1", "type": "tool_call"})
    assert isinstance(message, ToolMessage)
    return message


def test_the_model_reads_what_the_cut_keeps(search: BaseTool, guarded: GuardedRetriever) -> None:
    message = called(search, QUESTION)
    kept = guarded.report(QUESTION).passages
    assert message.content == "\n\n".join(p.text for p in kept)
    documents = message.artifact["documents"]
    assert [d.id for d in documents] == [p.id for p in kept]
    assert {d.metadata["ragguard"]["certificate"]["status"] for d in documents} == {"valid"}
    assert documents[0].metadata["source"] == "nickel.txt"


def test_the_report_goes_with_it_as_json(search: BaseTool, guarded: GuardedRetriever) -> None:
    carried = called(search, QUESTION).artifact["ragguard"]
    report = Report.model_validate(json.loads(json.dumps(carried)))
    assert report.turn == guarded.report(QUESTION).turn
    assert report.certificate() == guarded.report(QUESTION).certificate()


def test_without_evidence_the_model_is_told_so(search: BaseTool) -> None:
    message = called(search, NOVEL)
    assert "No passage of the knowledge base" in str(message.content)
    assert message.artifact["documents"] == []
    assert message.artifact["ragguard"]["reason"] == "no_evidence"


async def test_asynchronously_it_finds_the_same(search: BaseTool) -> None:
    call = {"name": search.name, "args": {"query": QUESTION}, "id": "1", "type": "tool_call"}
    assert await search.ainvoke(call) == called(search, QUESTION)


def test_documents_are_shown_as_one_likes(guarded: GuardedRetriever) -> None:
    tool = guarded_retriever_tool(
        guarded, "search", "Search.", format_documents=lambda ds: " | ".join(str(d.id) for d in ds)
    )
    assert called(tool, QUESTION).content.split(" | ")[0] == "nickel-hardness"  # type: ignore[union-attr]


def test_the_model_is_asked_for_a_query_alone(search: BaseTool) -> None:
    assert list(search.args) == ["query"]
