"""PreferenceNodePostprocessor: nodes in the order of a reranker."""

from __future__ import annotations

from typing import Any

import llama_index.core.instrumentation as instrument
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import Field

from llama_index_ragguard.nodes import as_passage, facts_of, with_facts
from llama_index_ragguard.source import query_of
from ragguard.conformal.kept import RETRIEVAL_SCORE
from ragguard.preference.reranker import RERANKER_SCORE, PreferenceReranker
from ragguard.types import Stage, Turn, Verdict

DEFAULT_WEIGHTS = {"relevance": 0.5, "bm25": 0.5}
"""Nodes carry no score of a retriever that could be trusted to point one way."""

dispatcher = instrument.get_dispatcher(__name__)


class PreferenceNodePostprocessor(BaseNodePostprocessor):
    """Returns copies of the nodes in the reranker's order, with the reranker's score as theirs.

    metadata["ragguard"] holds "reranker_score" and "retrieval_score", the score the node
    came with. Where scores cannot be had, the order given stands, the scores are None and
    metadata["ragguard"]["fallback"] says why; nothing is dropped but what `top_n` says.
    Before a `ConformalNodePostprocessor`, name it in `calibrate(before=[...])`: then the
    cut is by these scores. After one, what `top_n` leaves out no certificate covers.

    Args:
        reranker: a `PreferenceReranker`; the bundled one by default.
        top_n: nodes returned at most; None for all.
    """

    reranker: Any = Field(
        default_factory=lambda: PreferenceReranker(weights=DEFAULT_WEIGHTS), exclude=True, repr=False
    )
    top_n: int | None = Field(default=None, ge=1)

    @classmethod
    def class_name(cls) -> str:
        """The name in serialised form; the bundled reranker is restored with it, another is given anew."""
        return "PreferenceNodePostprocessor"

    def fingerprint(self) -> dict[str, Any]:
        """What determines scores and order, for a cut that comes after."""
        return {"reranker": dict(self.reranker.fingerprint()), "top_n": self.top_n}

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        turn = self._asked(nodes, query_bundle)
        return self._ordered(nodes, self.reranker.check(turn, Stage.PASSAGES))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        turn = self._asked(nodes, query_bundle)
        return self._ordered(nodes, await self.reranker.acheck(turn, Stage.PASSAGES))

    def _asked(self, nodes: list[NodeWithScore], bundle: QueryBundle | None) -> Turn:
        question = query_of(bundle)
        started = ReRankStartEvent(
            query=bundle, nodes=nodes, top_n=self.top_n or len(nodes), model_name=self.reranker.name
        )
        dispatcher.event(started)
        passages = (as_passage(found.node, name=str(place)) for place, found in enumerate(nodes))
        return Turn(question=question, passages=tuple(passages))

    def _ordered(self, nodes: list[NodeWithScore], verdict: Verdict) -> list[NodeWithScore]:
        ordered = () if verdict.revised is None else verdict.revised.passages or ()
        fallback = verdict.details.get("fallback")
        found = []
        for passage in ordered[: self.top_n]:
            before, score = nodes[int(passage.id)], passage.metadata.get(RERANKER_SCORE)
            facts = {RETRIEVAL_SCORE: before.score, "reranker_score": score}
            said = {"fallback": fallback} if fallback is not None else {}
            found.append(with_facts(before, {**facts_of(before.node), **facts, **said}, score=score))
        dispatcher.event(ReRankEndEvent(nodes=found))
        return found
