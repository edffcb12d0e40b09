"""The documents that a report kept, each with what can be said of its retrieval."""

from __future__ import annotations

from langchain_core.documents import Document

from langchain_ragguard.documents import with_facts
from langchain_ragguard.source import Candidates
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.kept import kept_facts
from ragguard.types import Report


def kept_documents(
    report: Report, candidates: Candidates, calibration: Calibration, *, cut: str
) -> list[Document]:
    """Return copies of the documents whose passages the report kept, best first, each with its facts.

    Args:
        report: of one retrieval.
        candidates: what was retrieved for it.
        calibration: of the cut.
        cut: name of the guard that cuts.
    """
    facts = kept_facts(report, candidates.passages, candidates.scores, calibration, cut=cut)
    text = {passage.id: passage.text for passage in report.passages}
    return [with_facts(candidates.documents[name], said, text=text[name]) for name, said in facts.items()]
