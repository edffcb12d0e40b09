"""What LiteLLM's Generic Guardrail API sends, as far as it is read here, and its strict parsing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragguard.server.door import Turned

_Model = TypeVar("_Model", bound=BaseModel)


class GuardrailRequest(BaseModel):
    """One request of the gateway; fields that are not named here are passed over.

    Attributes:
        input_type: "request" before the model is called, "response" after it.
        texts: of the messages, or of the choices (n > 1 gives several).
        structured_messages: the conversation with its roles; sent with requests only.
        tool_calls: that the model asks for; they pass.
        litellm_call_id: the same for the request and the response of one call.
        request_data: whose key it was.
        additional_provider_specific_params: `question` and `documents`, if the caller gives them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    input_type: Literal["request", "response"]
    texts: list[str] | None = None
    structured_messages: list[dict[str, Any]] | None = None
    tool_calls: list[Any] | None = None
    litellm_call_id: str | None = None
    request_data: dict[str, Any] | None = None
    additional_provider_specific_params: dict[str, Any] | None = Field(default=None)

    @property
    def call(self) -> tuple[str, str] | None:
        """What tells calls apart: the key's hash stands in it, so that no tenant meets another's call."""
        if self.litellm_call_id is None:
            return None
        return str((self.request_data or {}).get("user_api_key_hash")), self.litellm_call_id


def parsed(model: type[_Model], body: bytes) -> _Model:
    """Return the body as that model.

    Raises:
        Turned: it is not JSON (400), or of another shape (422); the fields are named, never what they hold.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
    if any(one["type"] == "json_invalid" for one in details):
        raise Turned(400, "malformed", "the body is not JSON")
    # Below the first name the path holds keys that the client chose.
    names = sorted({str(one["loc"][0]) for one in details if one["loc"]} & model.model_fields.keys())
    raise Turned(
        422, "invalid", f"missing, or of another type than they should be: {', '.join(names) or 'the body'}"
    )


def roles_and_texts(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield (role, text) of every message that holds text; of a list of blocks the text blocks alone."""
    for message in messages:
        role, text = message.get("role"), text_of(message.get("content"))
        if isinstance(role, str) and text.strip():
            yield role.lower(), text


def text_of(content: object) -> str:
    """The text of a message's content: itself, or its text blocks one after another."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    blocks = (block.get("text") for block in content if isinstance(block, Mapping))
    return "\n".join(block for block in blocks if isinstance(block, str))
