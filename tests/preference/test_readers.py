from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda

from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.models.generators import ExtractiveGenerator
from ragguard.preference.readers import Ask, Reader, ReaderPrompt, as_reader, reader_id
from ragguard.types import Generation, Passage


def plain(question: str, passages: Sequence[Passage]) -> str:
    return f"{question}|{'|'.join(p.text for p in passages)}"


def answers(reader: Reader, *asks: Ask) -> list[str]:
    found = dict(reader.answers(asks))
    return [found[place] for place in range(len(asks))]


def test_a_callable_is_given_question_and_passages() -> None:
    reader = as_reader(plain, name="plain-1")
    assert answers(reader, Ask("Q", ("a", "b")), Ask("Q")) == ["Q|a|b", "Q|"]


def test_a_callable_of_prompts_is_given_the_prompt_with_the_best_passage_last() -> None:
    reader = as_reader(lambda prompt: prompt, name="echo-1", takes="prompt")
    assert answers(reader, Ask("Who?", ("best", "next"))) == ["next\n\nbest\n\nAnswer in a few words: Who?"]
    assert answers(reader, Ask("Who?")) == ["Answer in a few words: Who?"]


def test_a_langchain_runnable_and_a_chat_model_are_asked_by_invoke() -> None:
    assert answers(as_reader(RunnableLambda(str.upper), name="upper"), Ask("q")) == [
        "ANSWER IN A FEW WORDS: Q"
    ]
    chat = FakeListChatModel(responses=["first", "second"])
    assert answers(as_reader(chat, name="chat"), Ask("q"), Ask("r")) == ["first", "second"]


def test_a_generation_gives_its_text() -> None:
    reader = as_reader(lambda q, p: Generation(text="yes", read=()), name="g")
    assert answers(reader, Ask("q")) == ["yes"]


def test_a_batched_model_is_asked_in_one_go() -> None:
    seen = []

    class Model:
        def complete_many(self, prompts: Sequence[str]) -> list[str]:
            seen.append(len(prompts))
            return [prompt[-1] for prompt in prompts]

        def fingerprint(self) -> dict[str, Any]:
            return {"model": "tiny"}

    reader = as_reader(Model())
    assert answers(reader, Ask("a"), Ask("b", ("p",))) == ["a", "b"]
    assert seen == [2]
    assert reader.id.startswith("tiny-")


def test_a_streaming_model_is_given_the_samples_as_seeds() -> None:
    class Model:
        def complete_many(self, prompts: Sequence[str]) -> list[str]:
            raise AssertionError("not streamed")

        def stream_many(self, prompts: Sequence[str], *, seeds: Sequence[int]) -> Iterator[tuple[int, str]]:
            yield from reversed([(place, f"seed {seed}") for place, seed in enumerate(seeds)])

    asks = [Ask("a", sample=s) for s in range(3)]
    assert answers(as_reader(Model(), name="m"), *asks) == ["seed 0", "seed 1", "seed 2"]


def test_a_model_that_loses_answers_is_found_out() -> None:
    class Model:
        def complete_many(self, prompts: Sequence[str]) -> list[str]:
            return ["one"]

    with pytest.raises(InvalidValueError, match="1 answers to 2"):
        list(as_reader(Model(), name="m").answers([Ask("a"), Ask("b")]))


def test_everything_that_determines_an_answer_is_in_the_id() -> None:
    def ident(**settings: Any) -> str:
        return reader_id(lambda prompt: prompt, takes="prompt", **{"name": "m", **settings})

    base = ident()
    assert base == ident(), "the same reader has the same id"
    others = {
        ident(name="m2"),
        ident(prompt=ReaderPrompt(closed="{question}?")),
        ident(prompt=ReaderPrompt(shown="{question} {passages}")),
        ident(decoding={"max_new_tokens": 24}),
        reader_id(ExtractiveGenerator()),
        reader_id(ExtractiveGenerator(3)),
    }
    assert base not in others
    assert len(others) == 6


def test_an_unnamed_callable_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no name"):
        as_reader(plain)


def test_a_temperature_is_handed_on_or_refused() -> None:
    def warm(prompt: str, *, temperature: float = 0.0, seed: int = 0) -> str:
        return f"{temperature} {seed}"

    reader = as_reader(warm, name="w", takes="prompt", temperature=0.7)
    assert answers(reader, Ask("q", sample=2)) == ["0.7 2"]
    assert reader.id != reader_id(warm, name="w", takes="prompt")
    with pytest.raises(InvalidValueError, match="temperature"):
        as_reader(plain, name="p", temperature=0.7)
    with pytest.raises(InvalidValueError, match="temperature"):
        as_reader(ExtractiveGenerator(), temperature=0.7)


@pytest.mark.parametrize(
    "settings", [{"shown": "{question}"}, {"closed": "{passages} {question}"}, {"closed": "{question"}]
)
def test_a_prompt_without_its_parts_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(InvalidValueError):
        ReaderPrompt(**settings)


def test_braces_in_a_users_text_are_text() -> None:
    assert ReaderPrompt().render(Ask("{x}", ("{0.__class__}",))).startswith("{0.__class__}")


def test_settings_that_are_no_json_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="JSON"):
        as_reader(plain, name="p", decoding={"stop": object()})


def test_what_cannot_be_called_is_no_reader() -> None:
    with pytest.raises(InvalidValueError, match="int is no reader"):
        as_reader(3, name="three")
