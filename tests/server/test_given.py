from __future__ import annotations

from typing import Any

import pytest

from ragguard.server.door import Turned
from ragguard.server.given import EvidenceRequired, Given, given_in
from ragguard.server.messages import GuardrailRequest
from ragguard.types import Passage, Stage, Turn


def sent(*messages: tuple[str, Any], **params: Any) -> GuardrailRequest:
    return GuardrailRequest(
        input_type="request",
        structured_messages=[{"role": role, "content": content} for role, content in messages],
        additional_provider_specific_params=params,
    )


def test_the_question_is_what_the_user_said_last() -> None:
    found = given_in(sent(("user", "First?"), ("assistant", "Yes."), ("user", "Second?"), ("tool", "T")))
    assert found.question == "Second?"


def test_a_question_given_beside_the_messages_goes_before_them() -> None:
    assert (
        given_in(sent(("user", "What about it?"), question="What about tram 3?")).question
        == "What about tram 3?"
    )
    assert given_in(sent(("user", "Spoken?"), question="  ")).question == "Spoken?"


def test_documents_go_before_messages_and_keep_their_ids() -> None:
    found = given_in(sent(("system", "S"), documents=["one", {"id": "x", "text": "two", "page": 3}]))
    assert [(p.id, p.text, p.score) for p in found.passages] == [
        ("document-0", "one", None),
        ("x", "two", None),
    ]


def test_system_text_counts_wherever_it_stands_and_tool_text_since_the_last_question() -> None:
    found = given_in(
        sent(
            ("system", "S"),
            ("user", "First?"),
            ("tool", "old"),
            ("assistant", "Yes."),
            ("user", "Second?"),
            ("assistant", None),
            ("tool", "new"),
            ("function", "newer"),
        )
    )
    assert [p.text for p in found.passages] == ["S", "new", "newer"]
    assert sorted(found.fetched) == sorted(p.id for p in found.passages[1:])


def test_roles_can_be_narrowed() -> None:
    request = sent(("system", "S"), ("user", "Q?"), ("tool", "T"))
    assert [p.text for p in given_in(request, roles={"tool"}).passages] == ["T"]


def test_of_blocks_the_text_is_read() -> None:
    blocks = [
        {"type": "text", "text": "one"},
        {"type": "image_url", "image_url": {}},
        "odd",
        {"text": 3},
        {"text": "two"},
    ]
    assert given_in(sent(("user", "Q?"), ("tool", blocks))).passages[0].text == "one\ntwo"


def test_one_id_for_two_texts_is_refused() -> None:
    with pytest.raises(Turned) as no:
        given_in(sent(documents=[{"id": "a", "text": "one"}, {"id": "a", "text": "two"}]))
    assert no.value.status == 422
    assert given_in(sent(documents=[{"id": "a", "text": "one"}] * 2)).passages == (
        Passage(id="a", text="one"),
    )


def test_what_a_response_lacks_the_request_before_it_supplies() -> None:
    before = Given("Q?", (Passage(id="a", text="A"),), frozenset({"a"}))
    assert Given().completed(before) == before
    own = Given("Own?", (Passage(id="b", text="B"),))
    assert own.completed(before) == own
    assert Given("Own?").completed(before).passages == before.passages
    assert own.completed(None) == own


@pytest.mark.parametrize(
    ("answer", "passages", "action"),
    [
        ("Tram 3 leaves at 5.", None, "abstain"),
        ("Tram 3 leaves at 5.", (Passage(id="a", text=" "),), "abstain"),
        ("Tram 3 leaves at 5.", (Passage(id="a", text="A"),), "pass"),
        ("I don't know.", None, "pass"),
        ("I don't know, but tram 3 leaves at 5.", None, "abstain"),
    ],
)
def test_a_claim_needs_evidence_and_an_abstention_none(answer: str, passages: Any, action: str) -> None:
    turn = Turn(question="Q?", passages=passages, answer=answer)
    assert EvidenceRequired().check(turn, Stage.ANSWER).action.value == action
