"""Everything that a caller can see of a run, recorded, and searched for what should have been withheld.

A runnable is run once for every surface: `invoke`, each mode of `stream`, `astream_events` in
its versions, the checkpoints. Of all that comes out every string is kept with its path, and
the strings of one path are joined in order, so that a secret that comes out letter by
letter is found too. Tracers and callbacks of the caller's are no surface here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from langchain_core.runnables import Runnable
from pydantic import BaseModel

MODES = ("messages", "updates", "values", "custom", "tasks", "debug")
"""What a graph can stream."""
FRAGMENT = 5
"""So many characters of a secret in a row are a leak."""

_threads = itertools.count()


@dataclasses.dataclass
class Recorded:
    """What came out, by surface and path.

    Attributes:
        seen: for each surface, the joined text of every path, e.g. seen["stream:messages"]["content"].
    """

    seen: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)

    @property
    def surfaces(self) -> list[str]:
        """The names of the surfaces, in the order recorded."""
        return list(self.seen)

    def note(self, surface: str, item: Any) -> None:
        """Add one thing that came out of a surface."""
        paths = self.seen.setdefault(surface, {})
        for path, text in _strings(item, ""):
            paths[path] = paths.get(path, "") + text


def leaks(recorded: Recorded, secret: str, *, fragment: int = FRAGMENT) -> list[str]:
    """Return where any part of a secret came out, as "surface: path"; [] is clean.

    Args:
        recorded: of a run.
        secret: text that occurs nowhere else in the run, e.g. one made-up word.
        fragment: characters in a row that count as a leak.
    """
    size = min(fragment, len(secret))
    parts = {secret[at : at + size] for at in range(len(secret) - size + 1)}
    return [
        f"{surface}: {path}"
        for surface, paths in recorded.seen.items()
        for path, text in paths.items()
        if any(part in text for part in parts)
    ]


def without(recorded: Recorded, text: str) -> list[str]:
    """Return the surfaces on which a whole text did not come out."""
    return [s for s, paths in recorded.seen.items() if not any(text in seen for seen in paths.values())]


def record(
    make: Callable[[], Runnable[Any, Any]],
    *given: Any,
    config: Mapping[str, Any] | None = None,
    context: Any = None,
    errors: tuple[type[BaseException], ...] = (),
) -> Recorded:
    """Return what the synchronous surfaces show.

    Args:
        make: returns the runnable or compiled graph, ready to be asked for the first time.
        given: its input, and what follows on the same thread, e.g. a `Command(resume=...)`.
        config: of each run; a thread id is added.
        context: of a graph with a context schema.
        errors: exceptions that may end a run; they are recorded. Any other is raised.
    """
    recorded = Recorded()
    for surface, run in _sync_runs(make()):
        runnable, at = make(), _configured(config)
        for item in given:
            try:
                for out in run(runnable, item, at, _context(context)):
                    recorded.note(surface, out)
            except errors as error:
                recorded.note(surface, error)
        for snapshot in _checkpoints(runnable, at):
            recorded.note(f"{surface}, checkpoint", snapshot)
    return recorded


async def arecord(
    make: Callable[[], Runnable[Any, Any]],
    *given: Any,
    config: Mapping[str, Any] | None = None,
    context: Any = None,
    errors: tuple[type[BaseException], ...] = (),
) -> Recorded:
    """`record`, of the asynchronous surfaces."""
    recorded = Recorded()
    for surface, run in _async_runs(make()):
        runnable, at = make(), _configured(config)
        for item in given:
            try:
                async for out in run(runnable, item, at, _context(context)):
                    recorded.note(surface, out)
            except errors as error:
                recorded.note(surface, error)
        async for snapshot in _acheckpoints(runnable, at):
            recorded.note(f"{surface}, checkpoint", snapshot)
    return recorded


_SyncRun = Callable[[Any, Any, Any, dict[str, Any]], Iterator[Any]]
_AsyncRun = Callable[[Any, Any, Any, dict[str, Any]], AsyncIterator[Any]]


def _sync_runs(runnable: Any) -> Iterator[tuple[str, _SyncRun]]:
    yield "invoke", lambda r, x, c, k: iter([r.invoke(x, c, **k)])
    yield "batch", lambda r, x, c, k: iter(r.batch([x], c, **k))
    if not _is_graph(runnable):
        yield "stream", lambda r, x, c, k: r.stream(x, c, **k)
        return
    for mode in MODES:
        yield f"stream:{mode}", _streaming(mode)
    yield "stream:all", _streaming(list(MODES))
    if hasattr(runnable, "stream_events"):
        yield "stream_events:v3", _events_v3
        yield "stream_events:v3 projections", _projections_v3


def _async_runs(runnable: Any) -> Iterator[tuple[str, _AsyncRun]]:
    yield "ainvoke", _ainvoked
    yield "astream_events:v2", lambda r, x, c, k: r.astream_events(x, c, version="v2", **k)
    if not _is_graph(runnable):
        yield "astream", lambda r, x, c, k: r.astream(x, c, **k)
        return
    for mode in MODES:
        yield f"astream:{mode}", _astreaming(mode)
    yield "astream:all", _astreaming(list(MODES))
    if hasattr(runnable, "stream_events"):
        yield "astream_events:v3", _aevents_v3
        yield "astream_events:v3 projections", _aprojections_v3


def _streaming(mode: str | list[str]) -> _SyncRun:
    return lambda r, x, c, k: r.stream(x, c, stream_mode=mode, subgraphs=True, **k)


def _astreaming(mode: str | list[str]) -> _AsyncRun:
    return lambda r, x, c, k: r.astream(x, c, stream_mode=mode, subgraphs=True, **k)


async def _ainvoked(runnable: Any, given: Any, config: Any, more: dict[str, Any]) -> AsyncIterator[Any]:
    yield await runnable.ainvoke(given, config, **more)


def _events_v3(runnable: Any, given: Any, config: Any, more: dict[str, Any]) -> Iterator[Any]:
    with _beta():
        run = runnable.stream_events(given, config, version="v3", **more)
        yield from run
        yield run.output


def _projections_v3(runnable: Any, given: Any, config: Any, more: dict[str, Any]) -> Iterator[Any]:
    with _beta():
        run = runnable.stream_events(given, config, version="v3", **more)
        for name, item in run.interleave("messages", "values"):
            yield item if name == "values" else list(item)


async def _aevents_v3(runnable: Any, given: Any, config: Any, more: dict[str, Any]) -> AsyncIterator[Any]:
    with _beta():
        run = await runnable.astream_events(given, config, version="v3", **more)
        async for event in run:
            yield event
        yield await run.output()


async def _aprojections_v3(runnable: Any, given: Any, config: Any, more: Any) -> AsyncIterator[Any]:
    with _beta():
        run = await runnable.astream_events(given, config, version="v3", **more)
        async for message in run.messages:
            yield [event async for event in message]


@contextlib.contextmanager
def _beta() -> Iterator[None]:
    """Without the warning that the protocol is experimental, which comes at each use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _checkpoints(runnable: Any, config: Any) -> Iterator[Any]:
    """The state as a graph tells it, and all that its checkpointer stored, pending writes included."""
    if _checkpointed(runnable):
        yield runnable.get_state(config)
        yield from runnable.checkpointer.list(config)


async def _acheckpoints(runnable: Any, config: Any) -> AsyncIterator[Any]:
    if _checkpointed(runnable):
        yield await runnable.aget_state(config)
        async for stored in runnable.checkpointer.alist(config):
            yield stored


def _checkpointed(runnable: Any) -> bool:
    return bool(_is_graph(runnable) and getattr(runnable, "checkpointer", None))


def _is_graph(runnable: Any) -> bool:
    return hasattr(runnable, "get_state_history")


def _configured(config: Mapping[str, Any] | None) -> dict[str, Any]:
    given = dict(config or {})
    thread = {"thread_id": f"recorded-{next(_threads)}", **given.get("configurable", {})}
    return {**given, "configurable": thread}


def _context(context: Any) -> dict[str, Any]:
    return {} if context is None else {"context": context}


def _strings(item: Any, path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every string in a thing, with the names on the way to it; places in a list are not told apart."""
    if item is None or isinstance(item, bool | int | float) or depth > 40:
        return
    if isinstance(item, str | bytes):
        yield path, item if isinstance(item, str) else item.decode("utf-8", "replace")
    elif isinstance(item, Runnable):
        return  # a model or tool in an event's input: whoever made it knows what is in it
    else:
        for name, part in _parts(item):
            yield from _strings(part, f"{path}.{name}".strip("."), depth + 1)


def _parts(item: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(item, Mapping):
        for key, value in item.items():
            yield "(keys)", str(key)
            yield str(key), value
    elif isinstance(item, BaseModel):
        yield from {**vars(item), **(item.__pydantic_extra__ or {})}.items()
    elif dataclasses.is_dataclass(item) and not isinstance(item, type):
        for field in dataclasses.fields(item):
            yield field.name, getattr(item, field.name, None)
    elif isinstance(item, BaseException):
        for part in (*item.args, str(item), item.__cause__, item.__context__, *vars(item).values()):
            yield "error", part
    elif isinstance(item, Sequence | AbstractSet):
        for part in item:
            yield "", part
    else:
        yield "", str(item)
