"""The evidence of an agent's turn: what its tools found since the user last spoke."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.documents import Document
from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage, ToolMessage
from pydantic import ValidationError

from langchain_ragguard.documents import FACTS, as_passage, passage_id
from langchain_ragguard.tools import DOCUMENTS
from ragguard.types import Passage, Report, Turn

Reach = Literal["turn", "thread"]
"""How far back tools' results count: since the last human message, or from the beginning."""
_NOTHING_ASKED = "(no question)"


@dataclass(frozen=True)
class Evidence:
    """What the tools found.

    Attributes:
        question: the user's, as last asked.
        reports: of retrievals that went through a guard, in order.
        passages: from other tools, best first.
        asked: whether any tool that counts gave a result at all.
    """

    question: str
    reports: tuple[Report, ...] = ()
    passages: tuple[Passage, ...] = ()
    asked: bool = False

    def turn(self, answer: str) -> Turn | Report:
        """The turn to judge, or the report of a retrieval after which no answer may be shown.

        A single guarded retrieval keeps its promise. Passages of several are judged together;
        what was promised of each is promised of its own question, not of the answer.
        """
        released = [report for report in self.reports if report.released]
        if not released and not self.passages and self.reports:
            return self.reports[-1]
        if len(released) == 1 and not self.passages:
            turn = released[0].turn
            return turn.replace(question=self.question, standalone=turn.query, answer=answer)
        found = [p for report in released for p in report.passages] + list(self.passages)
        # Scores of different searches do not compare, and must not be cut again.
        unscored = tuple(p.model_copy(update={"score": None}) for p in _once(found))
        return Turn(question=self.question, passages=unscored, answer=answer)


def evidence_in(
    messages: Sequence[AnyMessage], *, tools: Sequence[str] | None = None, reach: Reach = "turn"
) -> Evidence:
    """Return what tools found.

    Of a result the report counts if it carries one, else its documents, else its text.
    Results marked as errors count for nothing.

    Args:
        messages: of the conversation, oldest first.
        tools: names of those whose results count; None for all.
        reach: how far back.
    """
    asked = max((i for i, m in enumerate(messages) if isinstance(m, HumanMessage)), default=-1)
    question = _question(messages[asked].text if asked >= 0 else "")
    since = messages[asked + 1 :] if reach == "turn" else messages
    results = [m for m in since if isinstance(m, ToolMessage) and counts(m, tools)]
    reports: list[Report] = []
    passages: list[Passage] = []
    for message in results:
        report = report_of(message)
        if report is not None:
            reports.append(report)
        else:
            passages.extend(_passages(message))
    return Evidence(question, tuple(reports), tuple(passages), asked=bool(results))


def counts(message: ToolMessage, tools: Sequence[str] | None) -> bool:
    """Whether a tool's result is evidence at all."""
    return message.status != "error" and (tools is None or message.name in tools)


def documents_of(message: ToolMessage) -> list[Document] | None:
    """The documents that a result carries, as `create_retriever_tool` puts them; None for none."""
    found = message.artifact
    if isinstance(found, Mapping):
        found = found.get(DOCUMENTS)
    if not isinstance(found, list | tuple):
        return None
    documents = [_document(item) for item in found]
    return None if None in documents else [d for d in documents if d is not None]


def report_of(message: ToolMessage) -> Report | None:
    """The report of the guarded retrieval behind a result; None where there is none."""
    artifact = message.artifact if isinstance(message.artifact, Mapping) else {}
    found = artifact.get(FACTS, message.response_metadata.get(FACTS))
    try:
        return None if found is None else Report.model_validate_json(json.dumps(found))
    except (ValidationError, TypeError, ValueError):
        return None  # not ours, whatever it is: the text counts


def query_of(args: Mapping[str, Any], question: str) -> str:
    """What a retrieval tool was asked: its "query", else its only text, else the user's question."""
    texts = [value for value in args.values() if isinstance(value, str) and value.strip()]
    query = args.get("query")
    if isinstance(query, str) and query.strip():
        return query
    return texts[0] if len(texts) == 1 else question


def _document(item: Any) -> Document | None:
    if isinstance(item, Document):
        return item
    if not isinstance(item, Mapping) or not isinstance(item.get("page_content"), str):
        return None
    # What a checkpointer makes of a document within an artifact.
    metadata = item.get("metadata")
    return Document(
        id=item.get("id"),
        page_content=item["page_content"],
        metadata=dict(metadata) if isinstance(metadata, Mapping) else {},
    )


def _passages(message: ToolMessage) -> Iterator[Passage]:
    documents = documents_of(message)
    if documents is not None:
        for document in documents:
            yield as_passage(document, name=passage_id(document))
    elif (text := str(message.text)).strip():
        yield Passage(id=f"{message.name or 'tool'}:{message.tool_call_id}", text=text)


def _once(passages: Iterable[Passage]) -> Iterator[Passage]:
    """Each passage once; a second text under a name in use gets a name of its own."""
    seen: dict[str, str] = {}
    for passage in passages:
        name, number = passage.id, 1
        while seen.get(name, passage.text) != passage.text:
            number += 1
            name = f"{passage.id} ({number})"
        if name not in seen:
            seen[name] = passage.text
            yield passage if name == passage.id else passage.model_copy(update={"id": name})


def _question(text: str) -> str:
    """The user's words; a picture alone has none, and a turn needs some."""
    return text if text.strip() else _NOTHING_ASKED


def last_human(messages: Sequence[BaseMessage]) -> str:
    """What tells this turn of the user's from the one before: the last human message's id and place."""
    places = [(i, m.id) for i, m in enumerate(messages) if isinstance(m, HumanMessage)]
    return f"{places[-1][0]}:{places[-1][1]}" if places else ""
