"""Model calls that no stream shows: for text that has still to be judged.

Whoever streams an agent or a graph sees what every model in it says, as it is said, through
handlers that LangChain and LangGraph attach to the run, and the state of every graph inside
it through a channel of LangGraph's. Here both are taken off for one call. Tracers and
callbacks of the user's own stay, and see everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from types import MethodType
from typing import Any, ParamSpec, TypeVar

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, set_config_context

P = ParamSpec("P")
T = TypeVar("T")

_NOSTREAM = "nostream"
"""What LangGraph looks for among the tags of a run (`langgraph.constants.TAG_NOSTREAM`)."""
_SUBGRAPHS = "__pregel_stream"
"""Where a graph inside a graph finds the stream of the one outside (`langgraph._internal._constants`)."""


def _streaming_handlers() -> tuple[type, ...]:
    """The classes whose handlers pass a model's words on; private upstream, so none may be there."""
    try:
        from langchain_core.tracers import _streaming
    except ImportError:  # the tag alone is left then
        return ()
    names = ("_StreamingCallbackHandler", "_V2StreamingCallbackHandler")
    return tuple(getattr(_streaming, name) for name in names if hasattr(_streaming, name))


_HANDLERS = _streaming_handlers()


def muted_config(config: RunnableConfig | None = None) -> RunnableConfig:
    """Return the config, merged with that of the run under way, under which no stream shows a model's words.

    Args:
        config: of the call; left as it is.
    """
    muted = ensure_config(config)
    tags = list(muted.get("tags") or [])
    muted["tags"] = tags if _NOSTREAM in tags else [*tags, _NOSTREAM]
    callbacks = muted.get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        callbacks = callbacks.copy()
        for handler in [*callbacks.handlers, *callbacks.inheritable_handlers]:
            if _passes_on(handler):
                callbacks.remove_handler(handler)
        muted["callbacks"] = callbacks
    elif callbacks:
        muted["callbacks"] = [handler for handler in callbacks if not _passes_on(handler)]
    within = muted.get("configurable") or {}
    muted["configurable"] = {key: value for key, value in within.items() if key != _SUBGRAPHS}
    return muted


def call_muted(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function; what models say inside it comes out in no stream."""
    with set_config_context(muted_config()) as context:
        return context.run(function, *args, **kwargs)


async def acall_muted(function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """`call_muted`, of a coroutine function."""

    async def awaited() -> T:
        return await function(*args, **kwargs)

    with set_config_context(muted_config()) as context:
        return await asyncio.create_task(awaited(), context=context)


def muted(model: Runnable[Any, Any]) -> MutedModel:
    """Return the model as one that may be used in a node of a graph without being seen in its stream.

    Tools can be bound before or after. The node that judges the answer writes the message
    that is shown. Mute a chain as a whole: around a muted model `astream_events` still shows
    what the chain hands on.

    Args:
        model: a chat model, with or without tools, or a chain with one in it.
    """
    return model if isinstance(model, MutedModel) else MutedModel(model)


class MutedModel(Runnable[Any, Any]):
    """A model whose words come out in no stream; returned by `muted`.

    Everything else of the model is there as it was. Methods that return a runnable
    (`bind_tools`, `configurable_fields`, `model_copy`, ...) return a muted one.

    Args:
        model: what is called.
    """

    def __init__(self, model: Runnable[Any, Any]) -> None:
        self._model = model
        self.name = getattr(model, "name", None)

    def __getattr__(self, name: str) -> Any:
        """Everything else of the model; methods that return another runnable return it muted."""
        if name.startswith("__") or name == "_model":
            raise AttributeError(name)
        found = getattr(self._model, name)
        return _muting(found) if isinstance(found, MethodType) else found

    # Around a muted model these would be runs of their own, and event streams show what a run returns.

    def with_retry(self, *args: Any, **kwargs: Any) -> Any:
        """Return it with further attempts, muted as a whole."""
        return muted(Runnable.with_retry(self, *args, **kwargs))

    def with_fallbacks(self, *args: Any, **kwargs: Any) -> Any:
        """Return it with others to stand in, muted as a whole."""
        return muted(Runnable.with_fallbacks(self, *args, **kwargs))

    def map(self) -> Any:
        """Return it for lists, muted as a whole."""
        return muted(Runnable.map(self))

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Return what the model says."""
        silent = muted_config(config)
        with set_config_context(silent) as context:
            return context.run(self._model.invoke, input, silent, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """`invoke`, through the model's own."""

        async def awaited() -> Any:
            return await self._model.ainvoke(input, silent, **kwargs)

        silent = muted_config(config)
        with set_config_context(silent) as context:
            return await asyncio.create_task(awaited(), context=context)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """Yield what the model says, to the caller alone."""
        silent = muted_config(config)
        with set_config_context(silent) as context:
            pieces = context.run(lambda: iter(self._model.stream(input, silent, **kwargs)))
            while (piece := context.run(next, pieces, _END)) is not _END:
                yield piece

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """`stream`, through the model's own."""
        silent = muted_config(config)
        with set_config_context(silent) as context:
            pieces = context.run(lambda: aiter(self._model.astream(input, silent, **kwargs)))

            async def following() -> Any:
                return await anext(pieces, _END)

            while (piece := await asyncio.create_task(following(), context=context)) is not _END:
                yield piece


_END: Any = object()


def _muting(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def made(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        return muted(found) if isinstance(found, Runnable) else found

    return made


def _passes_on(handler: BaseCallbackHandler) -> bool:
    return isinstance(handler, _HANDLERS)
