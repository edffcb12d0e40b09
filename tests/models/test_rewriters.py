"""Rewriters: what is retrieved with, and therefore calibrated."""

from __future__ import annotations

import threading

import pytest

from ragguard.errors import InvalidValueError
from ragguard.models.rewriters import JoiningRewriter, ModelRewriter
from ragguard.types import Message

HISTORY = (
    Message(role="user", text="How do I read a TOML file?"),
    Message(role="assistant", text="With tomllib.load."),
)


def test_joining_puts_the_previous_question_of_the_user_before_the_follow_up() -> None:
    assert JoiningRewriter()("And write one?", HISTORY) == "How do I read a TOML file? And write one?"


def test_joining_never_takes_the_assistants_words() -> None:
    assert "tomllib" not in JoiningRewriter(3)("And write one?", HISTORY)


def test_joining_needs_at_least_one_turn() -> None:
    with pytest.raises(InvalidValueError, match="0"):
        JoiningRewriter(0)


def test_a_model_sees_the_conversation_and_its_first_line_is_taken() -> None:
    seen: list[str] = []

    def llm(prompt: str) -> str:
        seen.append(prompt)
        return '"How do I write a TOML file?"\nBecause ...'

    assert ModelRewriter(llm, name="scripted")("And write one?", HISTORY) == "How do I write a TOML file?"
    assert "user: How do I read a TOML file?" in seen[0]
    assert seen[0].endswith("Last question: And write one?")


@pytest.mark.parametrize("reply", ["", "   \n", "x" * 501])
def test_an_unusable_reply_keeps_the_users_own_words(reply: str) -> None:
    assert ModelRewriter(lambda _: reply, name="scripted")("And write one?", HISTORY) == "And write one?"


def test_another_model_has_another_fingerprint() -> None:
    one, other = (ModelRewriter(str, name=n).fingerprint() for n in ("a", "b"))
    assert one != other
    assert ModelRewriter(str, name="a").fingerprint() == one


class Blocks:
    """A chat model's reply, in blocks."""

    content = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "How do I write "}, "TOML?"]  # noqa: RUF012


def test_a_reply_in_blocks_is_read_and_one_of_another_kind_is_unusable() -> None:
    assert ModelRewriter(lambda _: Blocks(), name="a")("And write one?", HISTORY) == "How do I write TOML?"
    assert ModelRewriter(lambda _: 3, name="a")("And write one?", HISTORY) == "And write one?"


async def test_asynchronously_a_model_is_awaited_and_a_function_runs_on_a_worker() -> None:
    threads: list[int] = []

    class Model:
        def invoke(self, prompt: str) -> str:
            raise AssertionError("called synchronously")

        async def ainvoke(self, prompt: str) -> str:
            return "How do I write TOML?"

    def llm(prompt: str) -> str:
        threads.append(threading.get_ident())
        return "How do I write TOML?"

    for model in (Model(), llm):
        assert await ModelRewriter(model, name="a").acall("And write one?", HISTORY) == "How do I write TOML?"
    assert threading.get_ident() not in threads
