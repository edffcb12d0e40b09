from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.corpus.replies import (
    MAX_REPLY,
    CheckReply,
    Fault,
    QuestionReply,
    ReplyError,
    parse_reply,
    reply_text,
)
from ragguard.errors import GenerationError

GOOD = {"question": "When was the tower finished?", "answer": "in 1889"}
GOOD_JSON = json.dumps(GOOD)


def fault_of(reply: str, schema: Any = QuestionReply) -> Fault:
    with pytest.raises(ReplyError) as caught:
        parse_reply(reply, schema)
    return caught.value.fault


@pytest.mark.parametrize(
    "reply",
    [
        GOOD_JSON,
        f"Sure! Here it is:\n```json\n{json.dumps(GOOD, indent=2)}\n```\nAnything else?",
        f"I use {{braces}} first. {GOOD_JSON}",
        f"{{ not json {GOOD_JSON}",
        f"{GOOD_JSON} {json.dumps({'question': 'A second one, why?', 'answer': 'x'})}",
        json.dumps({"reasoning": {"steps": [1, 2]}, **GOOD}),
        "\ufeff" + GOOD_JSON,
        GOOD_JSON.replace("W", "\\u0057"),
        json.dumps({"question": "  When was the tower finished?\n", "answer": " in 1889 "}),
    ],
)
def test_the_first_json_object_is_read_wherever_it_stands(reply: str) -> None:
    assert parse_reply(reply, QuestionReply).model_dump() == GOOD


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ("", Fault.NO_JSON),
        ("I cannot do that.", Fault.NO_JSON),
        ('{"question": "When was it finished?", "answer": "18', Fault.NO_JSON),
        ("{'question': 'Python, not JSON?', 'answer': 'x'}", Fault.NO_JSON),
        ('{"question": "Is it a number?", "answer": NaN}', Fault.NO_JSON),
        ('{"question": "Is it a number?", "answer": -Infinity}', Fault.NO_JSON),
        ('{"question": "One of two?", "question": "Two of two?", "answer": "x"}', Fault.NO_JSON),
        ('{"question": "Is half a pair text?", "answer": "\\ud800"}', Fault.NO_JSON),
        ('{"question": "How many?", "answer": ' + "9" * 5000 + "}", Fault.NO_JSON),
        ('{"a":[' * 3000, Fault.NO_JSON),
        ("{" * MAX_REPLY, Fault.NO_JSON),
        ("[" * MAX_REPLY, Fault.NO_JSON),
        ("x" * 1_000_000, Fault.TOO_LONG),
        (json.dumps({"question": "Why?" * 1000, "answer": "x"}), Fault.TOO_LONG),
        (json.dumps({"question": "Why is it so?", "answer": "y" * 1000}), Fault.TOO_LONG),
        ("{}", Fault.WRONG_SHAPE),
        ('{"question": "Who built it?"}', Fault.WRONG_SHAPE),
        ('{"question": ["Who built it?"], "answer": "x"}', Fault.WRONG_SHAPE),
        ('{"question": "How many are there?", "answer": 5}', Fault.WRONG_SHAPE),
        ('{"question": "", "answer": "x"}', Fault.TOO_SHORT),
        ('{"question": "Who built it?", "answer": " "}', Fault.TOO_SHORT),
        ('{"question": "Who\\u0000 built it?", "answer": "x"}', Fault.BAD_CHARACTERS),
        ('{"question": "Who built it?\\u001b[2J", "answer": "x"}', Fault.BAD_CHARACTERS),
        ('{"question": "Who \\u202ebuilt it?", "answer": "x"}', Fault.BAD_CHARACTERS),
        ('{"question": "Who built it?\\udb40\\udc41", "answer": "x"}', Fault.BAD_CHARACTERS),
    ],
)
def test_an_unusable_reply_is_a_named_fault(reply: str, fault: Fault) -> None:
    assert fault_of(reply) is fault


def test_truth_values_are_not_guessed() -> None:
    assert parse_reply('{"answerable": false}', CheckReply) == CheckReply(answerable=False)
    assert fault_of('{"answerable": "false", "answer": "x"}', CheckReply) is Fault.WRONG_SHAPE
    assert fault_of('{"answerable": 1, "answer": "x"}', CheckReply) is Fault.WRONG_SHAPE


def test_a_reply_that_is_code_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    touch = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    for reply in (
        touch,
        f"[{touch}, {touch}]",
        f'{{"question": {touch}, "answer": "x"}}',
        f"```python\n{touch}\n```",
        "__import__('os').system('touch " + str(mark) + "')",
        '{"__class__": {"__reduce__": ["os.system", "touch ' + str(mark) + '"]}}',
    ):
        assert fault_of(reply) in (Fault.NO_JSON, Fault.WRONG_SHAPE)
    quoted = parse_reply(json.dumps({"question": touch, "answer": touch}), QuestionReply)
    assert quoted.question == touch  # as text it is text
    assert not mark.exists()


def test_many_unfinished_objects_take_no_quadratic_time() -> None:
    reply = ('{"a":"' * MAX_REPLY)[:MAX_REPLY]
    start = time.perf_counter()
    fault_of(reply)
    fault_of(('{"a":' * MAX_REPLY)[:MAX_REPLY])
    assert time.perf_counter() - start < 2.0


def test_an_error_quotes_no_reply() -> None:
    with pytest.raises(ReplyError) as caught:
        parse_reply('{"question": "my secret words", "answer": 5}', QuestionReply)
    error = caught.value
    assert "secret" not in f"{error} {error.details} {error.__cause__}"
    assert error.__suppress_context__
    assert isinstance(error, GenerationError)
    assert error.details == {"fault": "wrong_shape"}


class Message:
    def __init__(self, content: Any) -> None:
        self.content = content


@pytest.mark.parametrize(
    "reply",
    [
        GOOD_JSON,
        Message(GOOD_JSON),
        Message([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": GOOD_JSON}]),
        Message([GOOD_JSON[:9], GOOD_JSON[9:]]),
    ],
)
def test_a_string_or_a_chat_message_is_text(reply: Any) -> None:
    assert reply_text(reply) == GOOD_JSON


@pytest.mark.parametrize("reply", [None, 5, b"{}", Message(None), Message(7), ["{}"]])
def test_anything_else_is_not_text(reply: Any) -> None:
    with pytest.raises(ReplyError) as caught:
        reply_text(reply)
    assert caught.value.fault is Fault.NOT_TEXT


def test_every_fault_has_one_sentence_that_can_be_shown() -> None:
    for fault in Fault:
        assert fault.sentence.endswith(".")
        assert "\n" not in fault.sentence


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PIECES = st.sampled_from(
    [
        '{"question":',
        '"answer"',
        "{",
        "}",
        "[",
        "]",
        '"',
        ":",
        ",",
        "\\u00",
        "\\",
        "NaN",
        "1e999",
        "```",
        "\x00",
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.text() | JSON_LIKE.map(json.dumps) | st.lists(PIECES | st.text(max_size=5)).map("".join))
def test_whatever_is_replied_is_a_question_or_a_reply_error(reply: str) -> None:
    for schema in (QuestionReply, CheckReply):
        with contextlib.suppress(ReplyError):
            assert isinstance(parse_reply(reply, schema), schema)


@settings(deadline=None)
@given(JSON_LIKE, JSON_LIKE, st.text(max_size=20))
def test_values_of_any_kind_are_judged(question: Any, answer: Any, chatter: str) -> None:
    try:
        found = parse_reply(chatter + json.dumps({"question": question, "answer": answer}), QuestionReply)
    except ReplyError:
        return
    assert isinstance(question, str)
    assert found.question == question.strip()
