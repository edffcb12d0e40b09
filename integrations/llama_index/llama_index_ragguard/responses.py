"""A query engine's response as a turn to judge, and a report as the response that may be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.schema import MetadataMode, NodeWithScore
from pydantic import BaseModel

from llama_index_ragguard.nodes import FACTS, as_passage, passage_id
from llama_index_ragguard.structured import as_prose
from ragguard.errors import DuplicateIdError, InvalidValueError
from ragguard.types import Passage, Report, Turn
from ragguard.withheld import shown_report


@dataclass(frozen=True)
class Reading:
    """How responses are read.

    Attributes:
        id_key: metadata key that names a node, see `passage_id`.
        mode: which metadata of a node count as its text.
        fields: of a structured answer, see `as_prose`.
        empty: what the engine says where there is no answer.
    """

    id_key: str | None = None
    mode: MetadataMode = MetadataMode.NONE
    fields: Sequence[str] | None = None
    empty: str = "Empty Response"

    def turn(self, question: str, nodes: Sequence[NodeWithScore], reports: Sequence[Report]) -> Turn:
        """Return the turn to judge, without an answer; after exactly one retrieval it continues that turn.

        Raises:
            DuplicateIdError: two nodes of different text have one id.
        """
        retrieval = reports[0] if len(reports) == 1 and reports[0].released else None
        scores = {} if retrieval is None else {p.id: p.score for p in retrieval.passages}
        passages: dict[str, Passage] = {}
        for found in nodes:
            name = passage_id(found.node, id_key=self.id_key)
            passage = as_passage(found.node, name=name, score=scores.get(name), mode=self.mode)
            if passages.setdefault(name, passage).text != passage.text:
                raise DuplicateIdError(f"two nodes of different text share the id {name!r}")
        if retrieval is None:
            return Turn(question=question, passages=tuple(passages.values()))
        query = retrieval.turn.query
        return Turn(
            question=question,
            standalone=None if query == question else query,
            passages=tuple(passages.values()),
            metadata=retrieval.turn.metadata,
        )

    def text(self, answer: Any) -> str:
        """Return a finished answer as text to judge; what stands for no answer is none.

        Raises:
            InvalidValueError: it is neither text nor a model.
        """
        if answer is None:
            return ""
        if isinstance(answer, BaseModel):
            return as_prose(answer, self.fields)
        if not isinstance(answer, str):
            raise InvalidValueError(f"the engine answered with a {type(answer).__name__}, not text")
        return "" if answer.strip() == self.empty else answer

    def kept(self, report: Report, nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
        """Return the nodes whose passages the report kept."""
        names = {passage.id for passage in report.passages}
        return [n for n in nodes if passage_id(n.node, id_key=self.id_key) in names]

    def shown(self, report: Report, answered: Any) -> Response | PydanticResponse:
        """Return what may be shown of a finished response.

        A structured answer is shown as it is or not at all: what is shown instead is text.
        """
        nodes = self.kept(report, answered.source_nodes)
        metadata = metadata_of(report, answered, nodes)
        if isinstance(answered, PydanticResponse) and _as_it_was(report, self.text(answered.response)):
            return PydanticResponse(answered.response, source_nodes=nodes, metadata=metadata)
        return Response(report.text or "", source_nodes=nodes, metadata=metadata)


def metadata_of(report: Report, answered: Any, nodes: Sequence[NodeWithScore]) -> dict[str, Any]:
    """Return the metadata of what is shown: the nodes', the report, and the engine's own with a whole answer.

    An engine may repeat its answer in its metadata; with an answer withheld or cut only the nodes' stay.
    """
    ids = {n.node.node_id for n in answered.source_nodes}
    own: Mapping[str, Any] = answered.metadata or {}
    whole = report.released and all(v.revised is None or v.stage.value != "answer" for v in report.verdicts)
    engine = {key: value for key, value in own.items() if key not in ids} if whole else {}
    return {**engine, **{n.node.node_id: n.node.metadata for n in nodes}, FACTS: shown_report(report)}


def _as_it_was(report: Report, text: str) -> bool:
    return report.released and report.turn.answer == text
