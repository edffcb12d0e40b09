"""A LlamaIndex retriever as ragguard's: scored, named and fingerprinted, the same in calibration and service."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from llama_index_ragguard.identity import depth_of, of_postprocessor, of_retriever
from llama_index_ragguard.nodes import as_passage, passage_id
from ragguard.conformal.orientation import PROBED, QUESTION, Hits
from ragguard.corpus.retrievers import AdaptedRetriever
from ragguard.errors import (
    CalibrationMismatchError,
    ConfigurationError,
    DuplicateIdError,
    InvalidScoreError,
    InvalidValueError,
)
from ragguard.types import Passage


@dataclass(frozen=True)
class Candidates:
    """One retrieval before the cut.

    Attributes:
        passages: best first, ties as the retriever had them; each id once.
        nodes: the retriever's own objects, by passage id.
        scores: as the retriever gave them, by passage id.
    """

    passages: tuple[Passage, ...] = ()
    nodes: Mapping[str, NodeWithScore] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)


class NodeSource(AdaptedRetriever):
    """A LlamaIndex retriever, with the postprocessors that its nodes go through before the cut.

    Args:
        retriever: the user's own.
        before: postprocessors, in order; their scores are those that are cut by.
        higher_is_better: of the scores that arrive; False for distances.
        id_key: metadata key that names a node, see `passage_id`.
        identity: declared name and version of what cannot be seen from here.
    """

    def __init__(
        self,
        retriever: BaseRetriever,
        *,
        before: Sequence[BaseNodePostprocessor] = (),
        higher_is_better: bool = True,
        id_key: str | None = None,
        identity: str | None = None,
    ) -> None:
        if not isinstance(retriever, BaseRetriever):
            raise ConfigurationError(
                f"{type(retriever).__name__} is no retriever",
                hint="pass index.as_retriever(similarity_top_k=...)",
            )
        depth = None if before else depth_of(retriever)
        super().__init__(self.search, lower_is_better=not higher_is_better, limit=depth)
        self.retriever = retriever
        self.before = tuple(before)
        self.higher_is_better = higher_is_better
        self.id_key = id_key
        self.identity = identity

    def search(self, question: str) -> list[NodeWithScore]:
        """Return what arrives at the cut."""
        bundle = QueryBundle(question)
        found: list[NodeWithScore] = self.retriever.retrieve(bundle)
        for part in self.before:
            found = part.postprocess_nodes(found, query_bundle=bundle)
        return found

    def probes(self) -> list[tuple[str, Hits]]:
        """Return the ids of some nodes, each with what a search for that node's own text finds."""
        some = [n.node for n in self.search(QUESTION) if n.node.get_content().strip()][:PROBED]
        return [
            (node.node_id, [(h.node.node_id, h.score) for h in found if h.score is not None])
            for node in some
            for found in [self.search(str(node.get_content(metadata_mode=MetadataMode.EMBED)))]
        ]

    def __call__(self, question: str) -> list[Passage]:
        """Return what arrives at the cut as passages, best first."""
        return list(self.candidates(self.search(question)).passages)

    async def acall(self, question: str) -> list[Passage]:
        """`__call__`, on a thread: a retriever's `aretrieve` may well run its `retrieve` on the event loop."""
        return await asyncio.to_thread(self.__call__, question)

    def candidates(self, found: Sequence[NodeWithScore]) -> Candidates:
        """Return the nodes with their scores, best first.

        Raises:
            InvalidScoreError: a score is missing or not finite.
            DuplicateIdError: two nodes of different text have one id.
            CalibrationMismatchError: there are more than this retriever returns.
        """
        self._require_depth(len(found))
        sign = 1.0 if self.higher_is_better else -1.0
        named = [(passage_id(n.node, id_key=self.id_key), n) for n in found]
        scored = [(name, n, _score(n, name)) for name, n in named]
        best: dict[str, tuple[NodeWithScore, float]] = {}
        for name, node, score in sorted(scored, key=lambda one: -sign * one[2]):
            kept = best.setdefault(name, (node, score))[0]
            if kept.node.get_content() != node.node.get_content():
                raise DuplicateIdError(
                    f"two nodes of different text share the id {name!r}", hint="give each part its own id"
                )
        return Candidates(
            passages=tuple(as_passage(n.node, name=i, score=sign * s) for i, (n, s) in best.items()),
            nodes={name: node for name, (node, _) in best.items()},
            scores={name: score for name, (_, score) in best.items()},
        )

    def fingerprint(self) -> dict[str, Any]:
        """What the retriever is, what comes before the cut, which way scores point, how deep, and the names."""
        return {
            "retriever": {**of_retriever(self.retriever), "identity": self.identity},
            "before": [of_postprocessor(part) for part in self.before],
            "orientation": "higher" if self.higher_is_better else "lower",
            "depth": self.depth,
            "id_key": self.id_key,
        }

    def _require_depth(self, count: int) -> None:
        if self.depth is not None and count > self.depth:
            raise CalibrationMismatchError(
                f"{count} nodes arrived at the cut, more than the {self.depth} of the calibrated retriever",
                hint="put postprocessors that add nodes after the cut, or list them in before=[...]",
                details={"nodes": count, "similarity_top_k": self.depth},
            )


def _score(found: NodeWithScore, name: str) -> float:
    if found.score is None:
        raise InvalidScoreError(
            f"node {name!r} has no score",
            hint="the cut needs what the retriever scored; put postprocessors that add nodes after it",
        )
    if isinstance(found.score, bool) or not math.isfinite(found.score):
        raise InvalidScoreError(f"the score of node {name!r} is not finite", hint="every node needs one")
    return float(found.score)


def query_of(bundle: QueryBundle | None) -> str:
    """Return the question of a bundle.

    Raises:
        InvalidValueError: there is none.
    """
    if bundle is None or not str(bundle.query_str).strip():
        raise InvalidValueError("a guard needs the question", hint="pass query_bundle=... or query_str=...")
    return str(bundle.query_str)
