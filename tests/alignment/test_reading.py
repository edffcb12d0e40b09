"""From claims and passages to readings: what is asked, in how many calls, and what it depends on."""

from __future__ import annotations

import numpy as np
import pytest

from ragguard.alignment.claims import split_claims
from ragguard.alignment.features import NAMES
from ragguard.alignment.reading import LEAST_CHUNK, Prepared, prepare, read_answers, read_early, wordings
from ragguard.alignment.units import units
from ragguard.errors import ScoringError
from ragguard.types import Passage
from tests.alignment.word_engine import WordEngine, keyed

PASSAGES = (
    Passage(id="bridge", text="The bridge opened in 1978. It is 300 metres long."),
    Passage(id="acme", text="Ada founded Acme. Acme is based in Oslo."),
)
LONG = "The report lists " + ", ".join(f"item number {i} of the year" for i in range(70)) + "."


def prepared(engine: WordEngine, answer: str, *, question: str = "", chunk_tokens: int = 64) -> Prepared:
    return prepare(engine, split_claims(answer), PASSAGES, question=question, chunk_tokens=chunk_tokens)


def test_all_pairs_of_all_answers_go_to_the_engine_in_one_call() -> None:
    engine = WordEngine()
    answers = [
        prepared(engine, "The bridge opened in 1978. It is long."),
        prepared(engine, "Acme is in Oslo."),
    ]
    found = read_answers(engine, answers)
    assert [len(one.claims) for one in found] == [2, 1]
    assert len(engine.calls) == 1
    assert engine.pairs == sum(len(one.pairs()) for one in answers)


def test_each_reading_gets_its_own_reply() -> None:
    engine = WordEngine(keyed("1978", "Oslo"))
    (found,) = read_answers(engine, [prepared(engine, "The bridge opened in 1978. Acme is based in Rome.")])
    right, wrong = found.claims
    assert right.observation.entailed.max() > 0 > wrong.observation.entailed.max()


def test_no_answers_and_answers_without_claims_ask_nothing() -> None:
    engine = WordEngine()
    assert read_answers(engine, []) == []
    assert read_early(engine, [], lambda f: f[:, 0] > 0) == []
    (found,) = read_answers(engine, [prepared(engine, "")])
    assert found.features().shape == (0, len(NAMES))
    assert engine.calls == []


@pytest.mark.parametrize("text", ["", " \n\t", "\n"])
def test_passages_without_text_have_nothing_to_ask_about(text: str) -> None:
    engine = WordEngine()
    found = prepare(engine, split_claims("It is."), [Passage(id="a", text=text)] * 2, chunk_tokens=64)
    assert (found.pairs(), found.inquiries) == ([], ())


def test_a_short_answer_is_read_after_its_question_only() -> None:
    (unit,) = units(split_claims("Paris."), question="What is the capital?")
    assert wordings(unit) == ("What is the capital? Paris.",)


def test_a_claim_that_leans_on_another_is_read_with_it_and_alone() -> None:
    _, unit = units(split_claims("The bridge opened in 1978. It is 300 metres long."))
    assert wordings(unit) == ("The bridge opened in 1978. It is 300 metres long.", "It is 300 metres long.")


def test_nothing_is_cut_beside_a_long_claim() -> None:
    engine = WordEngine(max_tokens=256)
    tokens = engine.tokens.counts([LONG])[0]
    claims = [LONG[: int(len(LONG) * share)] for share in np.linspace(0.05, 1, 20)]
    assert tokens > 256
    for claim in claims:
        read_answers(engine, [prepared(engine, f"{claim}.", chunk_tokens=128)])
    assert engine.cut == 0


def test_a_claim_too_long_for_the_model_is_asked_about_by_no_part() -> None:
    engine = WordEngine(max_tokens=256)
    (found,) = read_answers(engine, [prepared(engine, f"{LONG} Acme is based in Oslo.")])
    long, short = found.claims
    assert (long.inquiry.texts, short.inquiry.texts) == ((), ("Acme is based in Oslo.",))
    assert long.observation.entailed.max() == -12


def test_a_long_claim_changes_nothing_for_its_neighbours() -> None:
    engine = WordEngine(max_tokens=256)
    half = next(LONG[:n] for n in range(100, 2000, 20) if engine.tokens.counts([LONG[:n]])[0] > 150)
    alone = prepared(engine, "Acme is based in Oslo.", chunk_tokens=128)
    beside = prepared(engine, f"{half}. Acme is based in Oslo.", chunk_tokens=128)
    assert beside.inquiries[1] == alone.inquiries[0]
    assert beside.sources[0].budget < beside.sources[1].budget == alone.sources[0].budget


def test_a_model_that_reads_little_gets_small_chunks() -> None:
    engine = WordEngine(max_tokens=96)
    (found,) = read_answers(engine, [prepared(engine, "Acme is based in Oslo.", chunk_tokens=128)])
    assert LEAST_CHUNK <= found.claims[0].source.budget <= 48
    assert engine.cut == 0


class Broken(WordEngine):
    """Replies with what no engine should."""

    def __init__(self, reply: np.ndarray) -> None:
        super().__init__()
        self._reply = reply

    def logits(self, pairs: object) -> np.ndarray:  # type: ignore[override]
        return self._reply


@pytest.mark.parametrize(
    "reply",
    [np.zeros((1, 6), np.float32), np.zeros((50, 3), np.float32), np.full((50, 6), np.nan, np.float32)],
    ids=["too few", "too narrow", "NaN"],
)
def test_a_reply_that_is_none_is_an_error(reply: np.ndarray) -> None:
    engine = Broken(reply)
    answer = prepared(engine, "The bridge opened in 1978. Acme is based in Oslo.")
    for read in (read_answers, lambda e, a: read_early(e, a, lambda f: f[:, 0] > 0)):
        with pytest.raises(ScoringError):
            read(engine, [answer])


def test_reading_early_leaves_no_claim_out_and_keeps_their_order() -> None:
    engine = WordEngine()
    answers = [
        prepared(engine, "The bridge opened in 1978. Elephants are pink. Acme is based in Oslo."),
        prepared(engine, f"{LONG * 2}"),
        prepared(engine, ""),
    ]
    column = NAMES.index("chunk_entailed")
    early = read_early(engine, answers, lambda features: features[:, column] > 0)
    full = read_answers(engine, answers)
    assert [[r.unit for r in one.claims] for one in early] == [[r.unit for r in one.claims] for one in full]
