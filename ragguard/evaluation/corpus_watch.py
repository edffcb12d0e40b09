"""How far the served passages have moved from the calibrated ones, while they are served."""

from __future__ import annotations

from ragguard import protocols
from ragguard.conformal.calibration import Calibration, CorpusChange
from ragguard.corpus.retrievers import IndexRetriever


class CorpusWatch:
    """Compares an index with a calibration, and again whenever the index has changed.

    Called, it returns the difference, or None where one side is not known.

    Args:
        calibration: with the calibrated passages, or None.
        retriever: watched when it searches an index of ours.
    """

    def __init__(self, calibration: Calibration | None, retriever: protocols.Retriever | None) -> None:
        self._calibration = calibration
        self._index = retriever.index if isinstance(retriever, IndexRetriever) else None
        self._seen: object = None
        self._change: CorpusChange | None = None

    def __call__(self) -> CorpusChange | None:
        """Look, if there is anything new to see.

        Raises:
            CalibrationMismatchError: more of the passages changed than the artifact tolerates.
        """
        if self._calibration is None or self._index is None:
            return None
        version = self._index.version
        if version is not self._seen:
            self._change = self._calibration.corpus_change(self._index.content_hashes())
            self._seen = version
        return self._change
