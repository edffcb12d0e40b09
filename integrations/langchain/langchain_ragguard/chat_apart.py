"""A model run apart from whoever calls it: in a context of its own, seen by tracers alone."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing
from contextvars import Context
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager, CallbackManager
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer

from langchain_ragguard.muting import muted_config

_END: Any = object()


def fresh_context() -> Context:
    """Return a context that knows nothing of the run under way.

    Graphs, agents and event streams leave their handlers in context variables, where every
    runnable finds them again, whatever config it is called with. A copy without those known
    today would leak those of tomorrow.
    """
    return Context()


def tracers_of(
    callbacks: Any,
    own: Any = None,
    *,
    more: Sequence[BaseCallbackHandler] = (),
    run: uuid.UUID | None = None,
) -> CallbackManager:
    """Return a manager of the tracers among callbacks; what they trace stands under a run.

    A tracer records runs. Other handlers may be showing a user what a model says, token by
    token (`AsyncIteratorCallbackHandler`): they hear of the guarded run alone.

    Args:
        callbacks: handlers or a manager, as in a config.
        own: of the model that is called.
        more: to be told too, whatever they are.
        run: id of the run above; the manager's own if None.
    """
    manager = CallbackManager.configure(callbacks, own)
    quiet = muted_config({"callbacks": manager}).get("callbacks")
    handlers = quiet.handlers if isinstance(quiet, BaseCallbackManager) else []
    kept = [h for h in handlers if isinstance(h, BaseTracer | AsyncBaseTracer) and h not in more]
    return CallbackManager(
        [*kept, *more],
        [*kept, *more],
        run or manager.parent_run_id,
        tags=manager.inheritable_tags,
        inheritable_tags=manager.inheritable_tags,
        metadata=manager.inheritable_metadata,
        inheritable_metadata=manager.inheritable_metadata,
    )


def apart(
    model: Runnable[Any, Any], given: Any, config: RunnableConfig, /, **kwargs: Any
) -> Generator[Any, None, None]:
    """Yield what the model returns."""
    yield fresh_context().run(lambda: model.invoke(given, config, **kwargs))


def stream_apart(
    model: Runnable[Any, Any], given: Any, config: RunnableConfig, /, **kwargs: Any
) -> Generator[Any, None, None]:
    """Yield what the model streams; its stream is closed with this one."""
    context = fresh_context()
    pieces: Any = context.run(lambda: iter(model.stream(given, config, **kwargs)))
    try:
        while (piece := context.run(next, pieces, _END)) is not _END:
            yield piece
    finally:
        if hasattr(pieces, "close"):
            context.run(pieces.close)


async def aapart(
    model: Runnable[Any, Any], given: Any, config: RunnableConfig, /, **kwargs: Any
) -> AsyncGenerator[Any, None]:
    """`apart`, through the model's own `ainvoke`; cancelled with whoever waits."""

    async def called(tell: Callable[[Any], None]) -> None:
        tell(await model.ainvoke(given, config, **kwargs))

    async with aclosing(_told(called)) as pieces:
        async for piece in pieces:
            yield piece


async def astream_apart(
    model: Runnable[Any, Any], given: Any, config: RunnableConfig, /, **kwargs: Any
) -> AsyncGenerator[Any, None]:
    """`stream_apart`, through the model's own `astream`."""

    async def streamed(tell: Callable[[Any], None]) -> None:
        pieces: Any = model.astream(given, config, **kwargs)
        async with aclosing(pieces):
            async for piece in pieces:
                tell(piece)

    async with aclosing(_told(streamed)) as told:
        async for piece in told:
            yield piece


async def _told(tells: Callable[[Callable[[Any], None]], Any]) -> AsyncGenerator[Any, None]:
    """Yield what a task tells; it runs in a fresh context, the whole of it, and ends with this."""
    # One task, not one a piece: what the model's client opens and closes must be in the same.
    queue: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.get_running_loop().create_task(tells(queue.put_nowait), context=fresh_context())
    task.add_done_callback(lambda _: queue.put_nowait(_END))
    try:
        while (piece := await queue.get()) is not _END:
            yield piece
        await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not log it
