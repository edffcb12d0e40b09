"""ragguard: a guard around any retriever and any generator, with a stated and measured bound.

    from ragguard import Guard

    guard = Guard.calibrate(retriever, "questions.jsonl", alpha=0.1)
    report = guard.answer("How do I ...?")
    print(report.text, report.certificate().statement)

Names that need numpy or a model are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ragguard._version import __version__
from ragguard.errors import RagGuardError, RefusalError
from ragguard.types import (
    Action,
    Certificate,
    Claim,
    Evidence,
    Generation,
    Message,
    Mode,
    OnError,
    Passage,
    Reason,
    Report,
    Span,
    Stage,
    Turn,
    Verdict,
)

if TYPE_CHECKING:
    from ragguard.alignment.guard import ConsistencyGuard
    from ragguard.config import Settings, load_settings
    from ragguard.conformal.calibrate import Settings as Promise
    from ragguard.conformal.calibration import Calibration
    from ragguard.conformal.guard import ConformalRetrievalGuard
    from ragguard.corpus.folder import CorpusFolder
    from ragguard.corpus.load import load_corpus
    from ragguard.corpus.retrievers import AdaptedRetriever, IndexRetriever, RescoringRetriever
    from ragguard.guard import Guard
    from ragguard.models.embedders import SentenceTransformerEmbedder
    from ragguard.models.generators import ExtractiveGenerator
    from ragguard.models.rewriters import JoiningRewriter, ModelRewriter
    from ragguard.models.smollm import SmolLM2Generator
    from ragguard.models.wrapped import LangChainEmbedder
    from ragguard.pipeline import Pipeline, Step
    from ragguard.stream import StreamGate

_LAZY = {
    "AdaptedRetriever": "ragguard.corpus.retrievers",
    "Calibration": "ragguard.conformal.calibration",
    "ConformalRetrievalGuard": "ragguard.conformal.guard",
    "ConsistencyGuard": "ragguard.alignment.guard",
    "CorpusFolder": "ragguard.corpus.folder",
    "ExtractiveGenerator": "ragguard.models.generators",
    "Guard": "ragguard.guard",
    "IndexRetriever": "ragguard.corpus.retrievers",
    "JoiningRewriter": "ragguard.models.rewriters",
    "LangChainEmbedder": "ragguard.models.wrapped",
    "ModelRewriter": "ragguard.models.rewriters",
    "Pipeline": "ragguard.pipeline",
    "Promise": "ragguard.conformal.calibrate:Settings",
    "RescoringRetriever": "ragguard.corpus.retrievers",
    "SentenceTransformerEmbedder": "ragguard.models.embedders",
    "Settings": "ragguard.config",
    "SmolLM2Generator": "ragguard.models.smollm",
    "Step": "ragguard.pipeline",
    "StreamGate": "ragguard.stream",
    "load_corpus": "ragguard.corpus.load",
    "load_settings": "ragguard.config",
}

__all__ = [
    "Action",
    "AdaptedRetriever",
    "Calibration",
    "Certificate",
    "Claim",
    "ConformalRetrievalGuard",
    "ConsistencyGuard",
    "CorpusFolder",
    "Evidence",
    "ExtractiveGenerator",
    "Generation",
    "Guard",
    "IndexRetriever",
    "JoiningRewriter",
    "LangChainEmbedder",
    "Message",
    "Mode",
    "ModelRewriter",
    "OnError",
    "Passage",
    "Pipeline",
    "Promise",
    "RagGuardError",
    "Reason",
    "RefusalError",
    "Report",
    "RescoringRetriever",
    "SentenceTransformerEmbedder",
    "Settings",
    "SmolLM2Generator",
    "Span",
    "Stage",
    "Step",
    "StreamGate",
    "Turn",
    "Verdict",
    "__version__",
    "load_corpus",
    "load_settings",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'ragguard' has no attribute {name!r}")
    module, _, attribute = _LAZY[name].partition(":")
    value = getattr(import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
