"""A calibrated cut, loaded: the guard, what it was calibrated through, and the documents that it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from haystack.dataclasses import Document

from haystack_integrations.components.guards.ragguard.documents import Candidates, facts_of, with_facts
from haystack_integrations.components.guards.ragguard.guards import warm_up
from haystack_integrations.components.guards.ragguard.source import DocumentSource
from ragguard.adapting import cutting, require_path
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.kept import kept_facts
from ragguard.guard import Guard
from ragguard.types import Report

_RANKED = ("retrieval_score", "reranker_score", "fallback")


@dataclass(frozen=True)
class Cut:
    """The guard that cuts.

    Attributes:
        guard: holds it.
        calibration: of the cut.
        name: of the step that cuts.
    """

    guard: Guard
    calibration: Calibration
    name: str

    @classmethod
    def of(cls, given: Guard | Calibration | Path | str) -> Self:
        """Return the cut of a guard, of a calibration, or of the folder of one.

        Raises:
            ArtifactError: the calibration is unreadable.
            ConfigurationError: the guard has none.
        """
        return cls(*cutting(given, guards=()))

    def warm_up(self) -> None:
        """Load what the guards before the cut need."""
        warm_up(self.guard.pipeline)

    def verify(self, source: DocumentSource) -> None:
        """Return only if the cut was calibrated through this source.

        Raises:
            CalibrationMismatchError: it was not; every difference is named.
        """
        require_path(self.calibration, source.fingerprint())

    def kept(self, report: Report, found: Candidates) -> list[Document]:
        """Return copies of the documents whose passages the report kept, best first, each with its facts."""
        facts = kept_facts(report, found.passages, found.scores, self.calibration, cut=self.name)
        text = {passage.id: passage.text for passage in report.passages}
        return [
            with_facts(document, {**said, **_of_ranker(document)}, text=text[name])
            for name, said in facts.items()
            for document in [found.documents[name]]
        ]


def _of_ranker(document: Document) -> dict[str, Any]:
    """What our ranker wrote before the cut: it alone knows the retriever's own score."""
    earlier = facts_of(document)
    return {key: earlier[key] for key in _RANKED if "reranker_score" in earlier and key in earlier}
