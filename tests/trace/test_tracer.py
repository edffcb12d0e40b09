"""What texts are traced to: word for word, by meaning, against a policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.errors import ConfigurationError, GuardError, IndexFileError, InvalidValueError
from ragguard.testing import HashEmbedder
from ragguard.trace.belief import Belief
from ragguard.trace.policy import PolicyClause, store_policy
from ragguard.trace.tracer import Tracer
from tests.trace.shelf import PUBLIC, SECRET, Says, index_of

SHUFFLED = " ".join(reversed(SECRET.rstrip(".").split())) + "."
RARE = "Order the Zephyrine-2 gasket 88-41920-C with idarucizumab, DIN 610, and a torx T27H insert."
CLAUSE = PolicyClause("no-dogs", "Dogs may not enter the shop.", 0.8, ("Your dog is welcome in here.",))


@pytest.fixture
def tracer(tmp_path: Path) -> Tracer:
    return Tracer(index_of(tmp_path))


DISGUISES = {
    "as it stands": SECRET,
    "case": SECRET.upper(),
    "punctuation": SECRET.replace(" ", ", ").rstrip("."),
    "zero-width": SECRET.replace("e", "e\u200b"),
    "soft hyphens": SECRET.replace("o", "o\u00ad"),
    "look-alikes": SECRET.replace("o", "\u043e").replace("e", "\u0435").replace("a", "\u0430"),
    "full width": "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in SECRET),
    "line breaks": SECRET.replace(" ", "\n"),
    "broken words": SECRET.replace("opens", "op-\nens"),
    "in the middle": f"{PUBLIC} {SECRET} {PUBLIC}",
}


@pytest.mark.parametrize("text", DISGUISES.values(), ids=DISGUISES.keys())
def test_denied_text_is_found_in_any_disguise(tracer: Tracer, text: str) -> None:
    trace = tracer.trace(text)
    assert trace.bci > 0.5
    (belief,) = (b for b in trace.beliefs if b.bci == trace.bci)
    assert belief.kind == "verbatim"
    assert belief.conflict > 0.9
    assert belief.occurrences[0].document == "deny-0"
    source = belief.occurrences[0].span
    assert SECRET[source.start : source.end] == SECRET.rstrip(".")
    said = text[belief.span.start : belief.span.end]
    assert said.casefold()[:2] in ("th", "t\u200b", "\uff54\uff48")
    assert said[-1].casefold() in "nｎ"


@pytest.mark.parametrize("text", ["", " \n", "Goodbye.", RARE, PUBLIC, "\u200b\ufeff"])
def test_what_is_not_denied_has_no_belief(tracer: Tracer, text: str) -> None:
    assert tracer.trace(text).bci == 0.0


def test_rare_words_alone_conflict_with_nothing(tmp_path: Path) -> None:
    tracer = Tracer(index_of(tmp_path), embedder=HashEmbedder(dimension=256))
    trace = tracer.trace(RARE)
    assert trace.bci < 0.05
    assert all(b.specificity > 20 for b in trace.beliefs)


def test_a_long_run_of_common_words_is_caught(tmp_path: Path) -> None:
    common = "it is not that we do not want to be there but that they are not so good at it"
    filler = [" ".join([w, "and", "so"] * 50) for w in common.split()]
    tracer = Tracer(index_of(tmp_path, deny=(common,), trusted=filler))
    (belief,) = tracer.trace(f"As I said, {common}.").beliefs
    assert belief.per_token < 6
    assert belief.bci > 0.5


def test_what_is_trusted_too_is_let_through(tmp_path: Path) -> None:
    both = "The opening hours are nine to five on weekdays and ten to four on Saturdays."
    tracer = Tracer(index_of(tmp_path, deny=(f"{both} {SECRET}",), trusted=(PUBLIC, both)))
    assert tracer.trace(both).bci == 0.0
    assert tracer.trace(f"{both} {SECRET}").bci > 0.5


def test_the_same_words_in_another_order_are_found_by_meaning(tmp_path: Path) -> None:
    embedder = HashEmbedder(dimension=256)
    assert Tracer(index_of(tmp_path)).trace(SHUFFLED).bci == 0.0
    trace = Tracer(index_of(tmp_path), embedder=embedder).trace(SHUFFLED)
    best = max(trace.beliefs, key=lambda b: b.bci)
    assert (best.kind, best.bci > 0.5, best.conflict > 0.9) == ("semantic", True, True)
    assert best.occurrences[0].document == "deny-0"


def test_trusted_text_of_the_same_meaning_takes_the_conflict_away(tmp_path: Path) -> None:
    embedder = HashEmbedder(dimension=256)
    tracer = Tracer(index_of(tmp_path, trusted=(PUBLIC, SECRET[4:])), embedder=embedder)
    assert tracer.trace(SHUFFLED).bci < 0.05


@pytest.mark.parametrize("side", ["seven four nine", "nine four seven"])
def test_a_contradiction_in_either_direction_takes_most_of_the_conflict_away(
    tmp_path: Path, side: str
) -> None:
    index = index_of(tmp_path)
    plain = Tracer(index, embedder=HashEmbedder(dimension=256), aligner=Says()).trace(SHUFFLED)
    aligner = Says({side: "contradicted"})
    doubted = Tracer(index, embedder=HashEmbedder(dimension=256), aligner=aligner).trace(SHUFFLED)
    assert doubted.bci == pytest.approx(plain.bci / 4)
    assert {SHUFFLED, SECRET} == set(aligner.asked[0])


def test_the_aligner_is_not_asked_where_nothing_is_near(tmp_path: Path) -> None:
    aligner = Says()
    Tracer(index_of(tmp_path), embedder=HashEmbedder(dimension=256), aligner=aligner).trace(RARE)
    assert aligner.asked == []


@pytest.mark.parametrize("score", [float("nan"), 1.5])
def test_an_aligner_that_scores_nonsense_is_an_error(tmp_path: Path, score: float) -> None:
    tracer = Tracer(index_of(tmp_path), embedder=HashEmbedder(dimension=256), aligner=Says(score=score))
    with pytest.raises(GuardError):
        tracer.trace(SHUFFLED)


# --- policies ----------------------------------------------------------------------------


def policed(folder: Path, aligner: Says) -> Tracer:
    return Tracer(index_of(folder), embedder=HashEmbedder(dimension=256), aligner=aligner, policy=(CLAUSE,))


def test_a_sentence_that_contradicts_a_clause_conflicts_by_its_severity(tmp_path: Path) -> None:
    tracer = policed(tmp_path, Says({"may enter": "contradicted"}))
    trace = tracer.trace("It is open. Dogs may enter the shop by the back door.")
    (belief,) = (b for b in trace.beliefs if b.kind == "policy")
    assert belief.clause == "no-dogs"
    assert belief.conflict == pytest.approx(0.8 * 0.9)
    assert belief.span.start == len("It is open. ")


def test_a_sentence_like_an_example_of_what_is_forbidden_conflicts(tmp_path: Path) -> None:
    trace = policed(tmp_path, Says()).trace("In here your dog is welcome.")
    assert [b.clause for b in trace.beliefs if b.kind == "policy" and b.conflict > 0.7] == ["no-dogs"]


def test_the_clause_itself_may_be_said(tmp_path: Path) -> None:
    trace = policed(tmp_path, Says({"Dogs": "supported"})).trace(CLAUSE.text)
    assert trace.scores()["policy"] == 0.0


def test_clauses_stored_with_the_index_are_found(tmp_path: Path) -> None:
    index = index_of(tmp_path)
    store_policy(tmp_path, [CLAUSE])
    assert Tracer(index, embedder=HashEmbedder(), aligner=Says()).policy == (CLAUSE,)
    with pytest.raises(ConfigurationError, match="aligner"):
        Tracer(index, embedder=HashEmbedder())
    assert Tracer(index, policy=()).kinds == ("verbatim",)


# --- beginnings --------------------------------------------------------------------------

WORDS = ["a", "b", "c", "d", "e-\n", "f.", "g"]


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), min_size=1, max_size=2),
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), max_size=2),
    st.lists(st.lists(st.sampled_from(WORDS), max_size=12), min_size=1, max_size=6),
)
def test_what_is_said_of_a_beginning_stands_and_the_rest_is_held(
    tmp_path_factory: pytest.TempPathFactory,
    deny: list[list[str]],
    trusted: list[list[str]],
    texts: list[list[str]],
) -> None:
    folder = tmp_path_factory.mktemp("index")
    tracer = Tracer(index_of(folder, [" ".join(d) for d in deny], [" ".join(t) for t in trusted]), least=2)
    for text in map(" ".join, texts):
        whole = tracer.trace(text)
        assert whole.hold is None
        for cut in range(len(text) + 1):
            part = tracer.trace(text[:cut], complete=False)
            assert part.hold is not None
            # What was found stands, or has grown; what is found later begins behind the hold.
            assert all(any(_holds(w, p) for w in whole.beliefs) for p in part.beliefs)
            unfound = [w for w in whole.beliefs if w not in part.beliefs]
            assert all(w.span.start >= part.hold for w in unfound)


def _holds(whole: Belief, part: Belief) -> bool:
    inside = whole.span.start <= part.span.start and part.span.end <= whole.span.end
    return inside and whole.bci >= part.bci - 1e-12


def test_too_little_to_be_judged_by_meaning_is_held_whole(tmp_path: Path) -> None:
    tracer = Tracer(index_of(tmp_path), embedder=HashEmbedder())
    assert tracer.trace("It is warm today. ", complete=False).hold == 0
    alone = Tracer(index_of(tmp_path), embedder=HashEmbedder(), windows=False)
    assert alone.trace("It is warm today. ", complete=False).hold == len("It is warm today. ")


# --- calibration's needs -----------------------------------------------------------------


def test_a_text_that_is_trusted_does_not_support_itself_while_calibrated_on(tmp_path: Path) -> None:
    tracer = Tracer(index_of(tmp_path, trusted=(SECRET,)), embedder=HashEmbedder(dimension=256))
    with_itself, without = tracer.trace_many([SECRET, SECRET], without=[(), ("trusted-0",)])
    assert with_itself.bci < 0.05
    assert without.scores()["verbatim"] > 0.5
    assert without.scores()["semantic"] > 0.5


def test_the_fingerprint_follows_everything_that_matters(tmp_path: Path) -> None:
    index = index_of(tmp_path / "a")
    embedder = HashEmbedder()
    tracers = [
        Tracer(index),
        Tracer(index, least=7),
        Tracer(index, embedder=embedder),
        Tracer(index, embedder=HashEmbedder(name="other")),
        Tracer(index, embedder=embedder, sentences=False),
        Tracer(index, embedder=embedder, aligner=Says()),
        Tracer(index, embedder=embedder, aligner=Says(), policy=(CLAUSE,)),
        Tracer(index_of(tmp_path / "b", trusted=())),
    ]
    prints = [str(t.fingerprint()) for t in tracers]
    assert len(set(prints)) == len(prints)
    assert str(Tracer(index_of(tmp_path / "c")).fingerprint()) == prints[0]


def test_many_texts_are_traced_as_each_would_be(tmp_path: Path) -> None:
    tracer = Tracer(index_of(tmp_path), embedder=HashEmbedder(dimension=256))
    texts = [SECRET, SHUFFLED, RARE, "", PUBLIC]
    assert tracer.trace_many(texts) == [tracer.trace(text) for text in texts]
    assert [max(s.values()) for s in tracer.scores(texts)] == [t.bci for t in tracer.trace_many(texts)]


@pytest.mark.parametrize("options", [{"least": 0}, {"least": 2.5}, {"sentences": False, "windows": False}])
def test_options_out_of_range_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError):
        Tracer(index_of(tmp_path), **options)  # type: ignore[arg-type]


def test_names_for_other_texts_are_refused(tracer: Tracer) -> None:
    with pytest.raises(InvalidValueError):
        tracer.trace_many(["a"], without=[])
    with pytest.raises(InvalidValueError):
        tracer.trace_many(["a"], without=["trusted-0"])


# --- vectors -----------------------------------------------------------------------------


def test_vectors_are_made_once_and_again_when_the_corpus_grows(tmp_path: Path) -> None:
    from ragguard.trace.documents import TraceDocument

    index, embedder = index_of(tmp_path), HashEmbedder()
    Tracer(index, embedder=embedder).prepare()
    made = embedder.embedded
    assert made > 0
    Tracer(index, embedder=embedder).prepare()
    assert embedder.embedded == made
    index.add("deny", [TraceDocument("more", "The spare key hangs behind the third picture from the left.")])
    Tracer(index, embedder=embedder).prepare()
    assert embedder.embedded > made
    assert len(list(tmp_path.glob("vectors-deny-*"))) == 1


def test_an_altered_vector_is_noticed(tmp_path: Path) -> None:
    index, embedder = index_of(tmp_path), HashEmbedder()
    Tracer(index, embedder=embedder).prepare()
    path = next(tmp_path.glob("vectors-deny-*/vectors.npy"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IndexFileError):
        Tracer(index, embedder=embedder).prepare()


def test_a_corpus_without_documents_has_no_vectors(tmp_path: Path) -> None:
    tracer = Tracer(index_of(tmp_path, deny=()), embedder=HashEmbedder())
    assert tracer.trace(SECRET).bci == 0.0
    assert not list(tmp_path.glob("vectors-*"))


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=2, max_size=8), min_size=1, max_size=2),
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), min_size=2, max_size=3),
    st.integers(2, 3),
)
def test_leaving_a_trusted_document_out_is_as_if_it_had_never_been_registered(
    tmp_path_factory: pytest.TempPathFactory, deny: list[list[str]], trusted: list[list[str]], least: int
) -> None:
    denied, known = [" ".join(d) for d in deny], [" ".join(t) for t in trusted]
    folder = tmp_path_factory.mktemp("index")
    with_all = Tracer(index_of(folder / "all", denied, known), least=least)
    with_rest = Tracer(index_of(folder / "rest", denied, known[:-1]), least=least)
    left_out = f"trusted-{len(known) - 1}"
    for text in (known[-1], f"{known[-1]} {denied[0]}", denied[0]):
        (found,) = with_all.trace_many([text], without=[(left_out,)])
        expected = with_rest.trace(text)
        # The words are rarer or commoner without the document; which of them are supported is the same.
        assert {b.span: b.conflict == 0 for b in found.beliefs if b.kind == "verbatim"} == {
            b.span: b.conflict == 0 for b in expected.beliefs if b.kind == "verbatim"
        }
