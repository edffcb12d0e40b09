"""The agent's model as one that may be heard while it speaks: sentence by sentence, each judged before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from pydantic import PrivateAttr

from langchain_ragguard.chat_models import GuardedChatModel
from langchain_ragguard.middleware_evidence import Evidence
from langchain_ragguard.middleware_policy import RagGuardContext
from ragguard.adapting import require_mode
from ragguard.pipeline import Pipeline
from ragguard.types import Report, Turn


def aloud(
    model: Runnable[Any, Any], pipeline: Pipeline, evidence: Evidence, settings: RagGuardContext
) -> GuardedChatModel:
    """Return the model guarded, to be called where everything else is muted; it alone is heard.

    So a model that another middleware puts in its place is heard by nobody.

    Args:
        model: of the request.
        pipeline: the guards, without the policy of the settings.
        evidence: of the turn.
        settings: of the request.

    Raises:
        ConfigurationError: the policy needs the whole answer before any of it is shown.
    """
    require_mode("sentence", settings.policy)
    required = settings.require_evidence is not False

    def asked(messages: Sequence[BaseMessage]) -> Turn | Report | None:
        if not evidence.asked and not required:
            return None
        turn = evidence.turn("")
        return turn if isinstance(turn, Report) else turn.replace(answer=None)

    made = _Heard(
        inner=model,
        guard=pipeline,
        mode="sentence",
        context_extractor=asked,
        require_evidence=required,
        policy=settings.policy,
    )
    made._heard = ensure_config()
    return made


class _Heard(GuardedChatModel):
    """Runs under the config of the agent's node, whatever the context it is called in is muted to."""

    _heard: RunnableConfig = PrivateAttr()

    def _under(self, config: RunnableConfig | None) -> tuple[GuardedChatModel, RunnableConfig]:
        told = RunnableConfig(
            **{
                **(config or {}),
                "callbacks": self._heard.get("callbacks"),
                "tags": self._heard.get("tags", []),
            }
        )
        return super()._under(told)
