"""Rewriters: what is retrieved with, and therefore calibrated."""

from __future__ import annotations

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
