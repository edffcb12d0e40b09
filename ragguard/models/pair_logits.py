"""Which of an alignment model's six logits is which."""

from __future__ import annotations

LOGITS = 6
REGRESSION = 0
"""Similarity: read as it is, in no fixed range."""
BINARY = slice(1, 3)
ALIGNED = 1
"""Column of the binary head that means aligned."""
THREE_WAY = slice(3, 6)
ENTAILED, NEUTRAL, CONTRADICTED = 0, 1, 2
"""Columns of the 3-way head."""

LOGIT_NAMES = ("regression", "not_aligned", "aligned", "entailed", "neutral", "contradicted")
"""What each of the six is, in order."""
