"""ragguard for Haystack: retrieval cut by a calibrated threshold, answers judged before they are shown."""

from haystack_integrations.components.guards.ragguard.gate import ConformalDocumentGate
from haystack_integrations.components.guards.ragguard.hooks import AnswerGuardHook
from haystack_integrations.components.guards.ragguard.ranker import PreferenceRanker
from haystack_integrations.components.guards.ragguard.stream_gate import AnswerStreamGate
from haystack_integrations.components.guards.ragguard.streaming import guarded_streaming_callback
from haystack_integrations.components.guards.ragguard.validator import FactualConsistencyValidator

__all__ = [
    "AnswerGuardHook",
    "AnswerStreamGate",
    "ConformalDocumentGate",
    "FactualConsistencyValidator",
    "PreferenceRanker",
    "guarded_streaming_callback",
]
