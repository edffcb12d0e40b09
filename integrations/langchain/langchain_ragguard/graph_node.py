"""A node with a synchronous and an asynchronous side, and the names of the nodes that it may go to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import MethodType
from typing import Any, Literal

from langchain_core.runnables import RunnableLambda
from langgraph.types import Command


class Node(RunnableLambda[Any, Command[Any]]):
    """A runnable from a state to a `Command`; `StateGraph` draws its edges.

    Args:
        runs: the node.
        aruns: the same, without blocking the event loop.
        name: of its runs in a trace.
        goes: names of the nodes that it may go to.

    Attributes:
        goes: the same, each once.
    """

    def __init__(
        self,
        runs: Callable[[Any], Command[Any]],
        aruns: Callable[[Any], Awaitable[Command[Any]]],
        *,
        name: str,
        goes: tuple[str, ...],
    ) -> None:
        super().__init__(runs, aruns, name=name)
        self.goes = tuple(dict.fromkeys(goes))

        # LangGraph reads the edges from the annotation of `__call__`, and these differ by node.
        def called(self: Node, state: Any) -> Any:
            return self.invoke(state)

        called.__annotations__ = {"return": Command[Literal[self.goes]]}
        vars(self)["__call__"] = MethodType(called, self)

    def __call__(self, state: Any) -> Any:
        """Run the node."""
        return self.invoke(state)
