"""What is expected of a middleware that judges an agent's answers, as a suite to subclass.

::

    class TestMine(MiddlewareContract):
        def make_middleware(self, judged):
            return MyMiddleware(MyGuard(on_judging=judged))

Every test makes an agent of a scripted model and, mostly, a tool that returns one document.
Change the texts where your guard needs others. Needs pytest, `langchain` and `langgraph`.
"""

# ruff: noqa: S101 - a suite asserts
from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command, interrupt

from langchain_ragguard.testing.models import ScriptedChatModel, StreamingChatModel
from langchain_ragguard.testing.surfaces import Recorded, arecord, leaks, record, without

_CALLS = AIMessage(
    "Let me look that up.", tool_calls=[{"name": "search", "args": {"query": "warranty"}, "id": "call-1"}]
)
_AT_ONCE = 20


class MiddlewareContract:
    """Subclass it, and give `make_middleware`.

    Attributes:
        question: what the user asks.
        source: the document that the tool returns.
        supported: an answer that the middleware releases as it is, given the source.
        unsupported: one that it withholds; it holds the secret.
        secret: a word of the unsupported answer that occurs nowhere else.
    """

    question = "How long is the warranty on lamps?"
    source = "The warranty on lamps lasts two years."
    supported = "The warranty on lamps lasts two years."
    unsupported = "The zyzzyvas eat lamps on purple bananas."
    secret = "zyzzyva"  # noqa: S105 - no password

    def make_middleware(self, judged: Callable[[], None]) -> AgentMiddleware[Any, Any, Any]:
        """Return a new middleware.

        Args:
            judged: to be called each time an answer is judged, where that happens.
        """
        raise NotImplementedError

    @pytest.mark.parametrize("model", [ScriptedChatModel, StreamingChatModel])
    @pytest.mark.parametrize("tools", ["tools", "no tools"])
    def test_a_withheld_answer_is_on_no_surface(self, model: type[ScriptedChatModel], tools: str) -> None:
        agent = self._agent(self.unsupported, model, tools)
        recorded = record(lambda: agent, self._given())
        assert leaks(recorded, self.secret) == []
        assert without(recorded, self.question) != recorded.surfaces, "nothing was recorded at all"

    @pytest.mark.parametrize("model", [ScriptedChatModel, StreamingChatModel])
    @pytest.mark.parametrize("tools", ["tools", "no tools"])
    def test_a_withheld_answer_is_on_no_asynchronous_surface(
        self, model: type[ScriptedChatModel], tools: str
    ) -> None:
        agent = self._agent(self.unsupported, model, tools)
        recorded = asyncio.run(arecord(lambda: agent, self._given()))
        assert leaks(recorded, self.secret) == []
        assert without(recorded, self.question) != recorded.surfaces, "nothing was recorded at all"

    @pytest.mark.parametrize("way", ["sync", "async"])
    def test_a_released_answer_is_on_every_surface_that_shows_messages(self, way: str) -> None:
        agent = self._agent(self.supported, StreamingChatModel)
        assert without(self._recorded(agent, way), self.supported) == []

    @pytest.mark.parametrize("way", ["sync", "async"])
    def test_the_words_beside_a_tool_call_are_judged_or_left_out(self, way: str) -> None:
        aside = _CALLS.model_copy(update={"content": self.unsupported})
        agent = self._agent(lambda m: _answering(m, self.supported, aside), StreamingChatModel)
        assert leaks(self._recorded(agent, way), self.secret) == []

    def test_what_is_given_up_midway_shows_nothing(self) -> None:
        stream = self._agent(self.unsupported, StreamingChatModel).stream(
            self._given(), _thread(), stream_mode=["messages", "updates"]
        )
        assert self.secret not in repr(next(stream))
        stream.close()

    @pytest.mark.parametrize("answer", ["supported", "unsupported"])
    def test_both_ways_of_running_show_the_same(self, answer: str) -> None:
        said = getattr(self, answer)
        found = self._agent(said).invoke(self._given(), _thread())
        also = asyncio.run(self._agent(said).ainvoke(self._given(), _thread()))
        assert [m.content for m in found["messages"]] == [m.content for m in also["messages"]]
        assert found["messages"][-1].content != self.unsupported

    def test_answers_are_judged_off_the_event_loop(self) -> None:
        threads: list[int] = []
        note = lambda: threads.append(threading.get_ident())  # noqa: E731

        async def many() -> list[Any]:
            agent = self._agent(lambda messages: _answering(messages, self.supported), judged=note)
            return await asyncio.gather(*(agent.ainvoke(self._given(), _thread(i)) for i in range(_AT_ONCE)))

        found = asyncio.run(many())
        assert len(threads) >= _AT_ONCE, "judged was not called for every answer"
        assert threading.get_ident() not in threads, "the event loop's own thread judged an answer"
        assert {f["messages"][-1].content for f in found} == {self.supported}

    def test_a_tool_call_is_passed_on_as_it_is(self) -> None:
        messages = self._agent(self.supported).invoke(self._given(), _thread())["messages"]
        calls = [m.tool_calls for m in messages if isinstance(m, AIMessage)]
        assert calls[0][0]["args"] == _CALLS.tool_calls[0]["args"]
        assert [m.tool_call_id for m in messages if isinstance(m, ToolMessage)] == ["call-1"]
        assert calls[-1] == []

    def test_the_message_shown_takes_the_place_of_the_answer(self) -> None:
        model = StreamingChatModel(script=_then(self.unsupported, self.supported))
        agent = self._of(model, self._search())
        agent.invoke(self._given(), _thread())
        agent.invoke(self._given(), _thread())
        for prompt in model.prompts:
            assert self.secret not in repr(prompt), "a withheld answer went back to the model"
        messages = agent.get_state(_thread()).values["messages"]
        assert [m.type for m in messages] == ["human", "ai", "tool", "ai"] * 2
        assert len({m.id for m in messages}) == len(messages)

    def test_an_answer_without_evidence_is_not_shown_as_if_it_had_some(self) -> None:
        found = self._agent(self.unsupported, tools="no tools").invoke(self._given(), _thread())
        assert self.secret not in repr(found)

    def test_the_state_survives_the_checkpointer(self) -> None:
        agent = self._agent(self.unsupported)
        found = agent.invoke(self._given(), _thread())
        serializer = JsonPlusSerializer()
        read = serializer.loads_typed(serializer.dumps_typed(found))
        assert [m.model_dump() for m in read.pop("messages")] == [m.model_dump() for m in found["messages"]]
        assert read == {key: value for key, value in found.items() if key != "messages"}
        facts = found["messages"][-1].response_metadata
        assert json.loads(json.dumps(facts)) == facts, "what stands beside a message is JSON"

    def test_two_of_one_name_are_refused(self) -> None:
        guards = [self.make_middleware(_nothing), self.make_middleware(_nothing)]
        with pytest.raises(AssertionError, match="duplicate"):
            create_agent(ScriptedChatModel(script=["Hello."]), middleware=guards)

    def test_a_tools_command_takes_effect(self) -> None:
        @tool
        def search(query: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
            """Look something up."""
            told = ToolMessage(self.source, tool_call_id=tool_call_id, name="search")
            return Command(update={"messages": [told]})

        found = self._of(ScriptedChatModel(script=[_CALLS, self.supported]), search).invoke(
            self._given(), _thread()
        )
        assert self.source in [m.content for m in found["messages"]]

    def test_what_a_tool_raises_is_raised(self) -> None:
        @tool
        def search(query: str) -> str:
            """Look something up."""
            raise LookupError("the shelf is empty")

        script = lambda messages: _answering(messages, self.supported)  # noqa: E731
        agent = self._of(ScriptedChatModel(script=script), search)
        with pytest.raises(LookupError, match="shelf"):
            agent.invoke(self._given(), _thread())
        with pytest.raises(LookupError, match="shelf"):
            asyncio.run(agent.ainvoke(self._given(), _thread("another")))

    def test_a_tool_may_interrupt_and_be_resumed(self) -> None:
        @tool
        def search(query: str) -> str:
            """Look something up, once a person agrees."""
            return f"{interrupt('May I?')} {self.source}"

        agent = self._of(ScriptedChatModel(script=[_CALLS, self.supported]), search)
        (asked,) = agent.invoke(self._given(), _thread())["__interrupt__"]
        assert asked.value == "May I?"
        agent.invoke(Command(resume="Yes."), _thread())
        state = agent.get_state(_thread())
        assert state.next == ()
        assert "Yes." in state.values["messages"][2].content

    def test_a_tracer_sees_what_the_model_said(self) -> None:
        heard: list[str] = []

        class Tracer(BaseCallbackHandler):
            def on_llm_end(self, response: Any, **kwargs: Any) -> None:
                heard.append(response.generations[0][0].text)

        config = {**_thread(), "callbacks": [Tracer()]}
        self._agent(self.unsupported, StreamingChatModel).invoke(self._given(), config)
        assert self.unsupported in heard

    def _agent(
        self,
        script: Any,
        model: type[ScriptedChatModel] = ScriptedChatModel,
        tools: str = "tools",
        judged: Callable[[], None] | None = None,
    ) -> Any:
        if isinstance(script, str) and tools == "tools":
            script = _then(script, script)
        elif isinstance(script, str):
            script = [script]
        found = [] if tools == "no tools" else [self._search()]
        return self._of(model(script=script), *found, judged=judged)

    def _of(self, model: ScriptedChatModel, *tools: Any, judged: Callable[[], None] | None = None) -> Any:
        return create_agent(
            model,
            tools=list(tools),
            middleware=[self.make_middleware(judged or _nothing)],
            checkpointer=InMemorySaver(),
        )

    def _search(self) -> Any:
        source = self.source

        @tool(response_format="content_and_artifact")
        def search(query: str) -> tuple[str, list[Document]]:
            """Look something up."""
            return source, [Document(id="source", page_content=source)]

        return search

    def _recorded(self, agent: Any, way: str) -> Recorded:
        if way == "sync":
            return record(lambda: agent, self._given())
        return asyncio.run(arecord(lambda: agent, self._given()))

    def _given(self) -> dict[str, Any]:
        return {"messages": [HumanMessage(self.question)]}


def _answering(messages: list[Any], answer: str, calls: AIMessage = _CALLS) -> AIMessage | str:
    """Call the tool, and answer once it has."""
    return answer if isinstance(messages[-1], ToolMessage) else calls


def _then(first: str, second: str) -> Callable[[list[Any]], AIMessage | str]:
    """The first answer to the first question, the second to any other."""
    return lambda m: _answering(m, first if sum(isinstance(x, HumanMessage) for x in m) == 1 else second)


def _thread(name: Any = "thread") -> dict[str, Any]:
    return {"configurable": {"thread_id": str(name)}}


def _nothing() -> None:
    return None
