"""LangChain's own test suites for chat models, around a scripted model that answers as the suites expect."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_ragguard.chat_models import GuardedChatModel
from ragguard import ConsistencyGuard, Passage, Turn
from ragguard.alignment.lexical import LexicalAligner

from .provider import ScriptedProvider

SAYS = "The lamp weighs 4 kilograms and the result of the sum is 3."
VALUES = {"integer": 3, "number": 3, "string": "cat", "boolean": True, "array": [], "object": {}}


def answered(messages: Any, kwargs: Any) -> AIMessage:
    """Calls the tool bound, unless one has answered already; says the same sentence otherwise."""
    tools = kwargs.get("tools") or []
    if not tools or isinstance(messages[-1], ToolMessage):
        return AIMessage(SAYS)
    chosen = next((t for t in tools if t["function"]["name"] == kwargs.get("tool_choice")), tools[0])
    function = chosen["function"]
    properties = function["parameters"].get("properties", {})
    asked = str(messages[-1].text)
    args = {name: value(schema, asked) for name, schema in properties.items()}
    return AIMessage("", tool_calls=[{"name": function["name"], "args": args, "id": "call_1"}])


def value(schema: dict[str, Any], asked: str) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type") or next((s["type"] for s in schema.get("anyOf", []) if "type" in s), "string")
    if kind == "string" and not asked.isascii():
        return asked
    return VALUES[kind]


class Suite:
    """What both suites are told of the model."""

    @property
    def chat_model_class(self) -> type[GuardedChatModel]:
        return GuardedChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "inner": ScriptedProvider(answers=answered),
            "guard": ConsistencyGuard(LexicalAligner()),
            "mode": "sentence",
            "context_extractor": lambda messages: Turn(
                question=str(messages[0].text) or "?", passages=(Passage(id="a", text=SAYS),)
            ),
        }

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "another"


class TestGuardedChatModelUnit(Suite, ChatModelUnitTests):
    pass


class TestGuardedChatModelIntegration(Suite, ChatModelIntegrationTests):
    pass
