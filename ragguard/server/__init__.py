"""ragguard over HTTP: routes that gateways and other guards already call.

`create_guardrail_app` speaks LiteLLM's Generic Guardrail API, `create_alignscore_app`
the contract of NeMo Guardrails' fact-checking server. Each is an ASGI app of its
own; mount them wherever an ASGI app can stand.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragguard.server.alignscore import create_alignscore_app
    from ragguard.server.door import Limits
    from ragguard.server.given import Given, given_in
    from ragguard.server.guardrail import create_guardrail_app

_PLACES = {
    "Given": "given",
    "Limits": "door",
    "create_alignscore_app": "alignscore",
    "create_guardrail_app": "guardrail",
    "given_in": "given",
}

__all__ = ["Given", "Limits", "create_alignscore_app", "create_guardrail_app", "given_in"]


def __getattr__(name: str) -> Any:
    """Load the web framework only for those who serve."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
