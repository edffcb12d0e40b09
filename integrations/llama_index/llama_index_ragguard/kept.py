"""The nodes that a report kept, each with what can be said of its retrieval."""

from __future__ import annotations

from llama_index.core.schema import NodeWithScore

from llama_index_ragguard.nodes import facts_of, with_facts
from llama_index_ragguard.source import Candidates
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.kept import kept_facts
from ragguard.types import Report


def kept_nodes(
    report: Report, candidates: Candidates, calibration: Calibration, *, cut: str
) -> list[NodeWithScore]:
    """Return copies of the nodes whose passages the report kept, best first, each with its facts.

    The score stays the retriever's, unless a guard before the cut has scored anew.

    Args:
        report: of one retrieval.
        candidates: what was retrieved for it.
        calibration: of the cut.
        cut: name of the guard that cuts.
    """
    facts = kept_facts(report, candidates.passages, candidates.scores, calibration, cut=cut)
    before = {passage.id: passage.score for passage in candidates.passages}
    after = {passage.id: passage for passage in report.passages}
    found = []
    for name, said in facts.items():
        node, passage = candidates.nodes[name], after[name]
        score = node.score if passage.score == before[name] else passage.score
        known = facts_of(node.node)
        found.append(with_facts(node, {**known, **said}, score=score, text=passage.text))
    return found
