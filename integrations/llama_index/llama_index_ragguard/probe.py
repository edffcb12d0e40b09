"""The self-probe: nothing is nearer to a node than its own text, so its score shows the best end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llama_index.core.schema import MetadataMode, NodeWithScore

from ragguard.errors import ScoreOrientationError

PROBED = 5
QUESTION = "document"
"""Finds some of the nodes, no matter which."""


def check_orientation(search: Callable[[str], Sequence[NodeWithScore]], *, higher_is_better: bool) -> None:
    """Return only if some nodes' own texts score at the declared best end.

    Args:
        search: as it will serve.
        higher_is_better: as declared.

    Raises:
        ScoreOrientationError: most score at the other end, or none tells the ends apart.
    """
    probes = [found for found in search(QUESTION) if found.node.get_content().strip()][:PROBED]
    sign = 1.0 if higher_is_better else -1.0
    sides = sum(_side(found, search(_embedded(found)), sign) for found in probes)
    if sides < 0:
        raise ScoreOrientationError(
            "a node's own text scores at the worse end",
            hint="declare higher_is_better as the store has it: similarities True, distances False",
        )
    if sides == 0:
        raise ScoreOrientationError(
            "the direction of the retriever's scores cannot be told",
            hint="it needs at least two nodes that score differently; probe=False skips the check",
            details={"probed": len(probes)},
        )


def _embedded(found: NodeWithScore) -> str:
    return str(found.node.get_content(metadata_mode=MetadataMode.EMBED))


def _side(probe: NodeWithScore, hits: Sequence[NodeWithScore], sign: float) -> int:
    """1 when the node's own score lies in the better half of the range found, -1 in the worse, 0 unknown."""
    scores = [sign * hit.score for hit in hits if hit.score is not None]
    own = [sign * h.score for h in hits if h.score is not None and h.node.node_id == probe.node.node_id]
    if not own or max(scores) <= min(scores):
        return 0
    return 1 if own[0] > (max(scores) + min(scores)) / 2 else -1
