"""ConformalDocumentGate: the documents within a threshold that was calibrated through the pipeline before it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

from haystack import component, default_from_dict, default_to_dict
from haystack.dataclasses import ChatMessage, Document

from haystack_integrations.components.guards.ragguard.cut import Cut
from haystack_integrations.components.guards.ragguard.documents import (
    Candidates,
    candidates,
    facts_of,
    passage_id,
    require_documents,
    unscored,
)
from haystack_integrations.components.guards.ragguard.identity import feeding
from haystack_integrations.components.guards.ragguard.source import of_pipeline_socket, source_of
from haystack_integrations.components.guards.ragguard.spans import traced
from ragguard.conformal.kept import limited
from ragguard.conformal.orientation import check_orientation
from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.evaluation.asked import Questions, as_questions
from ragguard.guard import Guard
from ragguard.pipeline import Parts
from ragguard.types import Report, Turn
from ragguard.withheld import shown_report, small_report
from ragguard.worker import run_on_worker

OnRefuse = Literal["empty", "raise"]
OnEmpty = Literal["pass", "branch"]


@component
class ConformalDocumentGate:
    """Keeps the documents within the calibrated threshold, best first, or none where there is no evidence.

    Each is a copy with meta["ragguard"]: its score as the retriever gave it, its
    nonconformity where it can be told, the threshold, `kept`, and the certificate that
    states the promise. The promise holds for the retriever as it was calibrated; make the
    calibration with `calibrate`, which retrieves on exactly the path that serves. In a
    pipeline, what feeds `documents` is compared with what was calibrated, at every warm-up.

    Connect `report` to the validator's `retrieval`, and the promise stays with the answer.

    Args:
        calibration: the folder of one; a `Calibration` or a calibrated `ragguard.Guard`
            serve too, but only a folder can be written into a pipeline's YAML.
        higher_is_better: of the documents' scores; False for distances.
        id_key: meta key that names a document, as `relevant` in the questions does; by
            default its id.
        identity: declared name and version of what cannot be seen from here (an index
            build, a remote service); part of the fingerprint.
        limit: most documents handed on, at least 1; leaving out a document that the cut
            kept voids the certificate. A calibrated `cap` does not.
        on_refuse: what a refusal becomes (a guard failed, or turned the question away):
            "empty" hands on [] as an abstention does, "raise" raises.
        on_empty: where nothing is kept, "pass" hands on []; "branch" hands on no
            `documents` at all, so that what needs them does not run. In both, `refused`
            then holds the message that may be shown.

    Raises:
        InvalidValueError: limit, on_refuse or on_empty cannot be used.
    """

    def __init__(
        self,
        calibration: Any,
        *,
        higher_is_better: bool = True,
        id_key: str | None = None,
        identity: str | None = None,
        limit: int | None = None,
        on_refuse: OnRefuse = "empty",
        on_empty: OnEmpty = "pass",
    ) -> None:
        if limit is not None and limit < 1:
            raise InvalidValueError(f"limit must be at least 1, got {limit}")
        if on_refuse not in get_args(OnRefuse) or on_empty not in get_args(OnEmpty):
            raise InvalidValueError("on_refuse is 'empty' or 'raise', on_empty 'pass' or 'branch'")
        self.calibration = str(calibration) if isinstance(calibration, Path) else calibration
        self.higher_is_better = higher_is_better
        self.id_key = id_key
        self.identity = identity
        self.limit = limit
        self.on_refuse = on_refuse
        self.on_empty = on_empty
        self._loading = threading.Lock()
        self._loaded: Cut | None = None

    @classmethod
    def calibrate(
        cls,
        source: Any,
        questions: Questions,
        *,
        question: str | Sequence[str] | None = None,
        documents: str | None = None,
        folder: str | Path | None = None,
        probe: bool = True,
        higher_is_better: bool = True,
        id_key: str | None = None,
        identity: str | None = None,
        limit: int | None = None,
        on_refuse: OnRefuse = "empty",
        on_empty: OnEmpty = "pass",
        **options: Any,
    ) -> Self:
        """Return a gate calibrated on these questions, each retrieved as it will be served.

        A question whose relevant documents are not among those returned counts as a miss:
        no threshold could have kept them.

        Args:
            source: a retriever component, or the `Pipeline` that retrieves; the gate can be
                added to it afterwards.
            questions: see `ragguard.Guard.calibrate`; `relevant` names documents as `id_key` says.
            question: where the question goes in: "query" of a component, or one or several
                "component.input" of a pipeline.
            documents: where the documents come out: "documents" of a component, or
                "component.output" of a pipeline.
            folder: where the calibration is written; needed for a gate that can be serialised.
            probe: check first which way the scores point.
            higher_is_better: see the class, as for the arguments after it.
            id_key: see the class.
            identity: see the class.
            limit: see the class.
            on_refuse: see the class.
            on_empty: see the class.
            options: of `ragguard.Guard.calibrate`: alpha, target, score, guards, fields, serve, ...

        Raises:
            NoValidThresholdError: no threshold meets the target on these questions.
            QuestionSetError: the question set cannot be used.
            ScoreOrientationError: the scores point the other way than declared.
            InvalidScoreError: a document came without a score.
        """
        asked = as_questions(questions)
        named: dict[str, Any] = {"higher_is_better": higher_is_better, "id_key": id_key, "identity": identity}
        through = source_of(source, question, documents, **named)
        if probe:
            # As a source gives them, the scores of passages are higher where they are better.
            check_orientation(through.probes([q.question for q in asked]), higher_is_better=True)
        guard = Guard.calibrate(through, asked, **{"guards": (), **options})
        if folder is not None:
            guard.save(folder)
        made = cls(
            guard if folder is None else folder,
            limit=limit,
            on_refuse=on_refuse,
            on_empty=on_empty,
            **named,
        )
        made._loaded = Cut.of(guard)
        return made

    def save(self, folder: str | Path) -> Path:
        """Write the calibration into a folder, which a gate takes as `calibration`; return its path."""
        return self._cut().calibration.save(folder)

    def to_dict(self) -> dict[str, Any]:
        """Return the component as Haystack writes it into YAML.

        Raises:
            ConfigurationError: its calibration is not in a folder.
        """
        if not isinstance(self.calibration, str):
            raise ConfigurationError(
                "this gate's calibration is not in a folder, so the pipeline cannot be written",
                hint="calibrate with folder=..., or save the calibration and pass its folder",
            )
        written: dict[str, Any] = default_to_dict(
            self,
            calibration=self.calibration,
            higher_is_better=self.higher_is_better,
            id_key=self.id_key,
            identity=self.identity,
            limit=self.limit,
            on_refuse=self.on_refuse,
            on_empty=self.on_empty,
        )
        return written

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the component as it was written; the calibration is read at warm-up."""
        made: Self = default_from_dict(cls, data)
        return made

    def warm_up(self) -> None:
        """Read the calibration, and hold what feeds the gate against it; called again, only the latter.

        Raises:
            ArtifactError: the calibration is unreadable.
            CalibrationMismatchError: calibrated with another retriever, embedder, top_k or setting.
            ConfigurationError: several outputs feed `documents`, or the guard does not cut.
        """
        self._cut().warm_up()
        pipeline = getattr(self, "__haystack_added_to_pipeline__", None)
        if pipeline is None:
            return
        fed = feeding(pipeline, self, "documents")
        if len(fed) > 1:
            raise ConfigurationError(
                "several outputs feed the gate's documents", hint="join and score them in one component"
            )
        if fed:
            self._cut().verify(of_pipeline_socket(pipeline, *fed[0], **self._named()))

    async def warm_up_async(self) -> None:
        """`warm_up`, off the event loop."""
        await run_on_worker(self.warm_up)

    def verify(
        self, source: Any, *, question: str | Sequence[str] | None = None, documents: str | None = None
    ) -> None:
        """Hold a retriever against the calibration, for a gate that is not run in a pipeline.

        Args:
            source: see `calibrate`.
            question: see `calibrate`.
            documents: see `calibrate`.

        Raises:
            CalibrationMismatchError: it is not the one calibrated.
        """
        self._cut().verify(source_of(source, question, documents, **self._named()))

    @component.output_types(documents=list[Document], report=dict[str, Any], refused=list[ChatMessage])
    def run(self, query: str, documents: list[Document], group: str | None = None) -> dict[str, Any]:
        """Return {"documents", "report"}, and {"refused"} beside them where nothing is kept.

        Args:
            query: a standalone question, the one that was sent to the retriever.
            documents: what was retrieved for it, each with its score.
            group: selects a Mondrian group.

        Raises:
            InvalidScoreError: a document has no finite score.
            InvalidValueError: the query is empty.
            RefusalError: refused, and on_refuse is "raise".
        """
        with traced("ragguard.cut", documents_in=len(documents)) as span:
            guard, turn, found = self._asked(query, documents, group)
            return self._handed_on(span, guard.pipeline.run(turn, Parts()), found)

    @component.output_types(documents=list[Document], report=dict[str, Any], refused=list[ChatMessage])
    async def run_async(
        self, query: str, documents: list[Document], group: str | None = None
    ) -> dict[str, Any]:
        """`run`, with everything on a worker."""
        with traced("ragguard.cut", documents_in=len(documents)) as span:
            guard, turn, found = await run_on_worker(self._asked, query, documents, group)
            report = await guard.pipeline.arun(turn, Parts())
            return await run_on_worker(self._handed_on, span, report, found)

    def _cut(self) -> Cut:
        with self._loading:
            if self._loaded is None:
                self._loaded = Cut.of(self.calibration)
            return self._loaded

    def _named(self) -> dict[str, Any]:
        return {"higher_is_better": self.higher_is_better, "id_key": self.id_key, "identity": self.identity}

    def _asked(
        self, query: str, documents: list[Document], group: str | None
    ) -> tuple[Guard, Turn, Candidates]:
        found = self._candidates(documents)
        metadata = {} if group is None else {"group": group}
        return self._cut().guard, Turn(question=query, passages=found.passages, metadata=metadata), found

    def _candidates(self, documents: list[Document]) -> Candidates:
        given = require_documents(documents)
        if given and all(d.score is None and "fallback" in facts_of(d) for d in given):
            # Our ranker could not score them and said so: the cut lets them pass and promises nothing.
            by_name = {passage_id(d, id_key=self.id_key): d for d in reversed(given)}
            return Candidates(unscored(given, id_key=self.id_key), by_name, dict.fromkeys(by_name))
        return candidates(given, higher_is_better=self.higher_is_better, id_key=self.id_key)

    def _handed_on(self, span: Any, report: Report, found: Candidates) -> dict[str, Any]:
        if self.on_refuse == "raise" and report.action.value == "refuse":
            report.raise_for_refusal()
        report = limited(report, self.limit)
        kept = self._cut().kept(report, found)
        span.set_tags({"ragguard.decision": report.action.value, "ragguard.reason_code": report.reason.value})
        span.set_tag("ragguard.documents_kept", len(kept))
        given: dict[str, Any] = {"documents": kept, "report": shown_report(report)}
        if not kept:
            meta = {"ragguard": small_report(report)}
            given["refused"] = [ChatMessage.from_assistant(report.text or report.reason.sentence, meta=meta)]
            if self.on_empty == "branch":
                del given["documents"]
        return given
