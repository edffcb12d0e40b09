"""A follow-up as a standalone question: the text that is retrieved with, calibrated and judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, convert_to_messages
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableSerializable
from pydantic import ConfigDict, PrivateAttr
from typing_extensions import TypedDict

from langchain_ragguard.muting import acall_muted, call_muted
from langchain_ragguard.verifier_input import text_of
from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.models.rewriters import ModelRewriter
from ragguard.protocols import Fingerprint
from ragguard.types import Message
from ragguard.worker import run_on_worker

REWRITE = "ragguard.rewrite"
"""Name of the custom event that says what became of a question, without any text of it."""


class StandaloneQuestion(RunnableSerializable[dict[str, Any], str]):
    """Makes of {"question", "history"} the one question that can be understood without the history.

    Put it before retrieval, and give what it returns to the retriever and, under
    "standalone", to `RagGuardVerifier`. The retriever is calibrated on questions as it
    writes them, and declares it: `GuardedRetriever.calibrate(..., rewriter=this)`.

    Without a history the question passes as it is, and no model is called. Where the reply
    is no question (empty, longer than 500 characters, not text), the user's own words
    are kept. A model that fails raises, unless `on_error` says "question": then the
    user's own words are kept too. The custom event "ragguard.rewrite" says which it was:
    "no_history", "rewritten", "unchanged" (its reply was these words, or none that could
    be used) or "failed". What the model writes is shown in no stream.

    It is a `ragguard` rewriter too: `Guard(..., rewriter=this)` calls it on a turn's history.

    Args:
        model: a chat model, a runnable or a function from a prompt to a reply.
        model_name: of the model, for the fingerprint: change it when the model changes.
        rewriter: instead of a model, e.g. a `JoiningRewriter`: (question, history) -> text.
        messages: how many of the latest messages the model is shown, at least 1.
        on_error: what becomes of a question whose rewriting failed: "raise", or "question".
        question_key: of the question, a string.
        history_key: of earlier messages, oldest first: LangChain messages, ragguard
            `Message`s, or (role, text) pairs; absent or empty where there are none.

    Raises:
        ConfigurationError: neither model nor rewriter, or both; a model without a name.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Any = None
    model_name: str | None = None
    rewriter: Any = None
    messages: int = 6
    on_error: Literal["raise", "question"] = "raise"
    question_key: str = "question"
    history_key: str = "history"

    _rewriter: Any = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Choose who rewrites."""
        if (self.model is None) is (self.rewriter is None):
            raise ConfigurationError("a standalone question needs either a model or a rewriter")
        if self.messages < 1:
            raise ConfigurationError(f"messages must be at least 1, got {self.messages}")
        if self.rewriter is not None:
            self._rewriter = self.rewriter
            return
        if not self.model_name:
            raise ConfigurationError(
                "the model needs a name", hint="model_name=...; a calibration is for one model"
            )
        self._rewriter = ModelRewriter(self.model, name=self.model_name, messages=self.messages)

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """A mapping with the two keys."""
        found: Any = {self.question_key: str, self.history_key: list[tuple[str, str]]}
        return TypedDict("StandaloneQuestionInput", found)  # type: ignore[operator]

    @property
    def OutputType(self) -> type[str]:  # noqa: N802 - LangChain's name
        """Text."""
        return str

    def invoke(self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any) -> str:
        """Return the standalone question.

        Raises:
            InvalidValueError: there is no question, or the history holds no messages.
        """
        return self._call_with_config(self._rewritten, input, config, **kwargs)

    async def ainvoke(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> str:
        """`invoke`, through the model's own `ainvoke`."""
        return await self._acall_with_config(self._arewritten, input, config, **kwargs)

    def __call__(self, question: str, history: Sequence[Message], /) -> str:
        """Return the standalone question, as a `ragguard` rewriter."""
        return self.invoke({self.question_key: question, self.history_key: history})

    async def acall(self, question: str, history: Sequence[Message], /) -> str:
        """`__call__`, through `ainvoke`."""
        return await self.ainvoke({self.question_key: question, self.history_key: history})

    def fingerprint(self) -> Fingerprint:
        """The rewriter's own; what it falls back on is part of it."""
        own = getattr(self._rewriter, "fingerprint", None)
        known = dict(own()) if callable(own) else {"rewriter": type(self._rewriter).__qualname__}
        return known if self.on_error == "raise" else {**known, "on_error": self.on_error}

    def _rewritten(self, given: dict[str, Any], run_manager: Any, config: RunnableConfig) -> str:
        question, history = self._read(given)
        found = call_muted(self._asking(history).invoke, question) if history else question
        text, became = _settled(question, found, asked=bool(history))
        dispatch_custom_event(REWRITE, {"question": became}, config=config)
        return text

    async def _arewritten(self, given: dict[str, Any], run_manager: Any, config: RunnableConfig) -> str:
        question, history = await run_on_worker(self._read, given)
        found = await acall_muted(self._asking(history).ainvoke, question) if history else question
        text, became = _settled(question, found, asked=bool(history))
        await adispatch_custom_event(REWRITE, {"question": became}, config=config)
        return text

    def _asking(self, history: Sequence[Message]) -> Runnable[str, str | None]:
        """The rewriter as a runnable over the question; None is what a failure becomes, where it may."""

        def ask(question: str) -> str | None:
            return str(self._rewriter(question, history))

        async def aask(question: str) -> str | None:
            native = getattr(self._rewriter, "acall", None)
            if native is not None:
                return str(await native(question, history))
            return str(await run_on_worker(self._rewriter, question, history))

        asking = RunnableLambda(ask, aask, name="ragguard.rewrite")
        if self.on_error == "raise":
            return asking
        return asking.with_fallbacks([RunnableLambda(_nothing)])

    def _read(self, given: Any) -> tuple[str, tuple[Message, ...]]:
        if not isinstance(given, Mapping) or given.get(self.question_key) is None:
            raise InvalidValueError(f"the input has no {self.question_key!r}", hint="question_key=...")
        question = text_of(given[self.question_key], self.question_key)
        if not question.strip():
            raise InvalidValueError("the question is empty", hint="pass a question with at least one word")
        history = as_history(given.get(self.history_key) or ())
        # Some chats hand over every message, the question being the last.
        if history and history[-1].role == "user" and history[-1].text.strip() == question.strip():
            history = history[:-1]
        return question, history


def as_history(messages: Any) -> tuple[Message, ...]:
    """Return what people and assistant said as ragguard messages; tool messages and empty ones are left out.

    Args:
        messages: LangChain messages, ragguard `Message`s, or (role, text) pairs, oldest first.

    Raises:
        InvalidValueError: it holds something else.
    """
    if isinstance(messages, str | Mapping) or not isinstance(messages, Iterable):
        raise InvalidValueError(f"a history is a list of messages, got {type(messages).__name__}")
    return tuple(found for message in messages if (found := _message(message)) is not None)


def _message(message: Any) -> Message | None:
    if isinstance(message, Message):
        return message if message.text.strip() else None
    if not isinstance(message, BaseMessage):
        try:
            (message,) = convert_to_messages([message])
        except (KeyError, NotImplementedError, TypeError, ValueError):
            # The framework's own error quotes the message.
            raise InvalidValueError(
                f"a history holds a {type(message).__name__} that is no message",
                hint='e.g. ("user", "..."), or LangChain messages',
            ) from None
    for kind, role in _ROLES:
        if isinstance(message, kind) and str(message.text).strip():
            return Message(role=role, text=str(message.text))
    return None


_ROLES: tuple[tuple[type[BaseMessage], Literal["user", "assistant", "system"]], ...] = (
    (HumanMessage, "user"),
    (AIMessage, "assistant"),
    (SystemMessage, "system"),
)


def _settled(question: str, found: str | None, *, asked: bool) -> tuple[str, str]:
    """The question to go on with, and what became of it."""
    if not asked:
        return question, "no_history"
    if found is None:
        return question, "failed"
    if not found.strip() or found == question:
        return question, "unchanged"
    return found, "rewritten"


def _nothing(_: str) -> str | None:
    """What a rewriting that failed returns."""
    return None
