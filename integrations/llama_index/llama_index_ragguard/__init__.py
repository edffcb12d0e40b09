"""ragguard for LlamaIndex: retrieval cut by a calibrated threshold, answers judged before they are shown."""

from llama_index_ragguard.conformal import ConformalNodePostprocessor
from llama_index_ragguard.evaluator import RagGuardFaithfulnessEvaluator
from llama_index_ragguard.query_engine import RagGuardQueryEngine
from llama_index_ragguard.rerank import PreferenceNodePostprocessor
from llama_index_ragguard.retrievers import OffLoopRetriever

__all__ = [
    "ConformalNodePostprocessor",
    "OffLoopRetriever",
    "PreferenceNodePostprocessor",
    "RagGuardFaithfulnessEvaluator",
    "RagGuardQueryEngine",
]
