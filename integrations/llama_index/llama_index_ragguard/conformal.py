"""ConformalNodePostprocessor: a retriever's nodes, cut by a threshold that was calibrated through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.indices.base import BaseIndex
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import Field, PrivateAttr, field_serializer

from llama_index_ragguard.kept import kept_nodes
from llama_index_ragguard.retrieval import note_report
from llama_index_ragguard.source import Candidates, NodeSource, query_of
from ragguard.adapting import cutting, require_path
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.kept import limited
from ragguard.conformal.orientation import check_orientation
from ragguard.errors import ConfigurationError
from ragguard.evaluation.asked import Questions
from ragguard.guard import Guard
from ragguard.types import Report, Turn
from ragguard.worker import run_on_worker

DEFAULT_TOP_K = 20


class ConformalNodePostprocessor(BaseNodePostprocessor):
    """Keeps the nodes within the calibrated threshold, best first, or none where there is no evidence.

    Each is a copy with metadata["ragguard"]: its retrieval score as the retriever gave
    it, its nonconformity where it can be told, the threshold, `kept`, and the certificate
    that states the promise. Neither the language model nor an embedding reads that key,
    and the index's own nodes are never changed. The promise holds for the retriever as
    it was calibrated; make the calibration with `calibrate`, which retrieves on exactly
    this path. It is about the threshold: of answerable questions, a share of up to
    `novelty_level` besides may be turned away with no node.

    Args:
        guard: a calibrated `ragguard.Guard`, a `Calibration`, or the folder of one; once
            made, the attribute is always a `Guard`.
        retriever: whose nodes will arrive here, to be held against the calibrated one.
        before: the postprocessors that stand before this one in the engine, in order.
        higher_is_better: of the scores that arrive; False for distances.
        id_key: metadata key that names a node, as `relevant` in the questions does; by
            default its node id.
        identity: declared name and version of what cannot be seen from here (an index
            build, chunking, a remote service); part of the fingerprint.
        limit: most nodes kept, at least 1; leaving out a node that the cut kept voids
            the certificate. A calibrated `cap` does not.
        group: from the question to its Mondrian group, for a grouped calibration.
        on_refuse: what a refusal becomes (a guard failed, or turned the question away):
            "empty" keeps no node, as an abstention does, "raise" raises.

    Raises:
        ConfigurationError: no retriever, or a guard without calibration.
        CalibrationMismatchError: calibrated with another retriever, top k or embedding model.
    """

    guard: Any
    retriever: Any = Field(default=None, exclude=True, repr=False)
    before: list[Any] = Field(default_factory=list, exclude=True, repr=False)
    higher_is_better: bool = True
    id_key: str | None = None
    identity: str | None = None
    limit: int | None = Field(default=None, gt=0)
    group: Callable[[str], str | None] | None = Field(default=None, exclude=True, repr=False)
    on_refuse: Literal["empty", "raise"] = "empty"

    _source: NodeSource = PrivateAttr()
    _guard: Guard = PrivateAttr()
    _calibration: Calibration = PrivateAttr()
    _cut: str = PrivateAttr()
    _folder: str | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """Hold the guard against the retriever: every fingerprint must be the calibrated one."""
        self._source = NodeSource(
            self.retriever,
            before=self.before,
            higher_is_better=self.higher_is_better,
            id_key=self.id_key,
            identity=self.identity,
        )
        if isinstance(self.guard, str | Path):
            self._folder = str(self.guard)
        if self.guard is None:
            raise ConfigurationError(
                "the cut has no calibration",
                hint="pass guard=folder, as `save` wrote it, or make one with calibrate",
            )
        self._guard, self._calibration, self._cut = cutting(self.guard, retriever=self._source)
        require_path(self._calibration, self._source.fingerprint())
        self.guard = self._guard

    @field_serializer("guard")
    def _saved(self, guard: Any) -> str | None:
        """The folder of the calibration, None while it is in no folder."""
        return self._folder

    @classmethod
    def class_name(cls) -> str:
        """The name in serialised form."""
        return "ConformalNodePostprocessor"

    @classmethod
    def calibrate(
        cls,
        retriever: BaseRetriever | BaseIndex,
        questions: Questions,
        *,
        similarity_top_k: int | None = None,
        before: Sequence[BaseNodePostprocessor] = (),
        higher_is_better: bool = True,
        probe: bool = True,
        id_key: str | None = None,
        identity: str | None = None,
        limit: int | None = None,
        group: Callable[[str], str | None] | None = None,
        on_refuse: Literal["empty", "raise"] = "empty",
        **options: Any,
    ) -> Self:
        """Return a postprocessor calibrated on these questions, each retrieved as it will be served.

        A question whose relevant nodes the retriever does not return counts as infinitely
        far: no threshold reaches it.

        Args:
            retriever: the one that will serve, or an index to make it from.
            questions: see `ragguard.Guard.calibrate`; `relevant` names nodes as `id_key` says.
            similarity_top_k: nodes asked of an index before the cut; `DEFAULT_TOP_K` by default.
            before: see the class, as for the arguments not listed here.
            higher_is_better: see the class.
            probe: check first that some nodes' own texts score at the declared best end,
                where the retriever is an index's.
            id_key: see the class.
            identity: see the class.
            limit: see the class.
            group: see the class.
            on_refuse: see the class.
            options: of `ragguard.Guard.calibrate`: alpha, target, score, guards, fields, serve, ...

        Raises:
            NoValidThresholdError: no threshold meets the target on these questions.
            QuestionSetError: the question set cannot be used.
            ScoreOrientationError: the scores point the other way than declared.
        """
        if isinstance(retriever, BaseIndex):
            retriever = retriever.as_retriever(similarity_top_k=similarity_top_k or DEFAULT_TOP_K)
        elif similarity_top_k is not None:
            raise ConfigurationError(
                "similarity_top_k is for an index", hint="a retriever has its own; set it there"
            )
        names: dict[str, Any] = {
            "before": list(before),
            "higher_is_better": higher_is_better,
            "id_key": id_key,
            "identity": identity,
        }
        source = NodeSource(retriever, **names)
        if probe and source.depth is not None:
            check_orientation(source.probes(), higher_is_better=higher_is_better)
        guard = Guard.calibrate(source, questions, **options)
        return cls(guard=guard, retriever=retriever, limit=limit, group=group, on_refuse=on_refuse, **names)

    @property
    def calibration(self) -> Calibration:
        """The calibration that the cut uses."""
        return self._calibration

    def save(self, folder: str | Path) -> Path:
        """Write the calibration into a folder, which the constructor takes as `guard`; return its path."""
        path = self._calibration.save(folder)
        self._folder = str(folder)
        return path

    def verify(self, retriever: BaseRetriever, before: Sequence[BaseNodePostprocessor] = ()) -> None:
        """Hold another retriever, and what stands before this cut, against the calibrated path.

        Raises:
            CalibrationMismatchError: it is another.
        """
        source = NodeSource(
            retriever,
            before=before,
            higher_is_better=self.higher_is_better,
            id_key=self.id_key,
            identity=self.identity,
        )
        require_path(self._calibration, source.fingerprint())

    def report(self, question: str) -> Report:
        """Retrieve for a question and return everything the guard found out; `report.passages` are those kept."""
        return self._limited(self._guard.pipeline.check(self._turn(question, self._source(question))))

    async def areport(self, question: str) -> Report:
        """`report`, without blocking the event loop."""
        turn = self._turn(question, await self._source.acall(question))
        return self._limited(await self._guard.pipeline.acheck(turn))

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        question = query_of(query_bundle)
        candidates = self._source.candidates(nodes)
        report = self._guard.pipeline.check(self._turn(question, candidates.passages))
        return self._kept(report, candidates, query_bundle)

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        question = query_of(query_bundle)
        candidates = await run_on_worker(self._source.candidates, nodes)
        report = await self._guard.pipeline.acheck(self._turn(question, candidates.passages))
        return await run_on_worker(self._kept, report, candidates, query_bundle)

    def _turn(self, question: str, passages: Sequence[Any]) -> Turn:
        group = None if self.group is None else self.group(question)
        metadata = {} if group is None else {"group": group}
        return Turn(question=question, passages=tuple(passages), metadata=metadata)

    def _kept(
        self, report: Report, candidates: Candidates, bundle: QueryBundle | None
    ) -> list[NodeWithScore]:
        if self.on_refuse == "raise" and report.action.value == "refuse":
            report.raise_for_refusal()
        report = self._limited(_outside(report, bundle))
        note_report(report)
        return kept_nodes(report, candidates, self._calibration, cut=self._cut)

    def _limited(self, report: Report) -> Report:
        return limited(report, self.limit)


def _outside(report: Report, bundle: QueryBundle | None) -> Report:
    """The report without its retrieval promise, where something else than the question was searched for."""
    strings = None if bundle is None else bundle.custom_embedding_strs
    if not strings or list(strings) == [report.turn.question]:
        return report
    certificates = tuple(
        c.model_copy(update={"status": "void", "voided_by": "query transformation"})
        if c.scope == "retrieval" and c.status in ("valid", "degraded")
        else c
        for c in report.certificates
    )
    return report.model_copy(update={"certificates": certificates})
