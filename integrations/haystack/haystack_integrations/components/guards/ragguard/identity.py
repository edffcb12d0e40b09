"""What the part of a pipeline that retrieves is, as far as it can be seen, for the fingerprints of a calibration.

Only numbers, filters and the names of classes, models and settings are recorded. Other
text is not: an artifact is a plain file, and any of it may hold a secret.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, get_args

from haystack import Pipeline
from haystack.utils import Secret

from ragguard.artifacts import as_json, qualified_name

_TOLD = re.compile(
    r"model|metric|similarity|algorithm|regex|mode|policy|strategy|function|prefix|suffix|language"
    r"|revision|deployment|pooling|dtype|precision|truncat|fields"
)
"""Parameters whose text says how is searched."""
_IDLE = re.compile(
    r"progress_bar|.*batch_size|.*timeout|.*retries|.*workers|.*executor|.*embedding|raise_on_failure|.*ssl|device"
)
"""Parameters that change how fast or how much is handed over, and not what is found."""
_MISSING = object()


def of_component(component: Any) -> dict[str, Any]:
    """Return the component's own `fingerprint()` if it has one, else its class and what can be seen of its settings."""
    own = getattr(component, "fingerprint", None)
    if callable(own):
        return {"name": qualified_name(component), **as_json(dict(own()))}
    found: dict[str, Any] = {"name": qualified_name(component)}
    inner = getattr(component, "pipeline", None)
    if isinstance(inner, Pipeline):
        found["pipeline"] = [
            of_component(data["instance"]) for _, data in sorted(inner.graph.nodes(data=True))
        ]
    for name in inspect.signature(type(component).__init__).parameters:
        value = getattr(component, name, getattr(component, f"_{name}", _MISSING))
        if name != "self" and (told := _told(name, value)) is not _MISSING:
            found[name] = told
    return found


def of_socket(pipeline: Pipeline, name: str, socket: str) -> dict[str, Any]:
    """Return what a component's output rests on: its settings, and those of all that feeds it.

    What feeds a socket of type `str` is left out: there the question comes in, and how a
    question came about is not the retriever's affair. Names of components in the
    pipeline are left out too.

    Args:
        pipeline: holds the component.
        name: of the component.
        socket: of its output.
    """
    return {**_of_node(pipeline, name, frozenset()), "output": socket}


def feeding(pipeline: Pipeline, component: Any, socket: str) -> list[tuple[str, str]]:
    """Return the (component, output) pairs connected to an input of a component, sorted."""
    name = next((n for n, data in pipeline.graph.nodes(data=True) if data["instance"] is component), None)
    return sorted(
        (sender, data["from_socket"].name)
        for sender, _, data in pipeline.graph.in_edges(name, data=True)
        if data["to_socket"].name == socket
    )


def _of_node(pipeline: Pipeline, name: str, above: frozenset[str]) -> dict[str, Any]:
    found = of_component(pipeline.graph.nodes[name]["instance"])
    if name in above:  # a loop: once around says everything
        return {"name": found["name"]}
    inputs: dict[str, list[dict[str, Any]]] = {}
    for sender, _, data in pipeline.graph.in_edges(name, data=True):
        if not _takes_text(data["to_socket"].type):
            fed = {**_of_node(pipeline, sender, above | {name}), "output": data["from_socket"].name}
            inputs.setdefault(data["to_socket"].name, []).append(fed)
    if inputs:
        found["inputs"] = {socket: sorted(fed, key=str) for socket, fed in sorted(inputs.items())}
    return found


def _takes_text(kind: Any) -> bool:
    return kind is str or set(get_args(kind)) == {str, type(None)}


def _told(name: str, value: Any) -> Any:
    """What of a parameter's value is recorded; `_MISSING` for nothing."""
    if value is None or value is _MISSING or isinstance(value, Secret | Pipeline) or _IDLE.fullmatch(name):
        return _MISSING
    if isinstance(value, Enum):
        return as_json(value.value)
    if isinstance(value, bool | int | float):
        return as_json(value)
    if isinstance(value, str):
        return value if _TOLD.search(name) else _MISSING
    if isinstance(value, Mapping):
        return as_json(dict(value)) if "filter" in name else _several(name, value)
    if isinstance(value, list | tuple):
        told = [_told(name, item) for item in value]
        return [item for item in told if item is not _MISSING] or _MISSING
    if callable(getattr(value, "to_dict", None)) or hasattr(value, "__haystack_input__"):
        return of_component(value)
    return qualified_name(value) if isinstance(value, type | Callable) else _MISSING


def _several(name: str, values: Mapping[Any, Any]) -> Any:
    told = {str(key): _told(str(key), value) for key, value in values.items()}
    return {key: value for key, value in sorted(told.items()) if value is not _MISSING} or _MISSING
