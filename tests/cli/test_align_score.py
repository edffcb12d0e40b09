"""`ragguard align score`: what its lines hold, in order, whatever comes in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.alignment.aligner import AlignmentAligner
from ragguard.cli import align_items
from ragguard.cli.align_items import Arriving, groups
from ragguard.cli.align_lines import scored, strict
from ragguard.cli.output import items_of
from ragguard.models.pair_engine import PairEngine
from tests.cli.align_case import run, save_model
from tests.cli.running import lines_of
from tests.models.random_models import random_pair_model, write_checkpoint

SOURCE = "Ada founded Acme in Oslo in 1978. The company sells bicycles. Rex bought Dino."
OUTCOMES = ["supported", "contradicted", "conflicting", "not_found", "unverifiable"]
SCORE = {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]}
PLACE = {"type": "integer", "minimum": 0}


def exactly(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


EVIDENCE = exactly(
    {"passage": PLACE, "start": PLACE, "end": PLACE, "text": {"type": "string"}, "score": SCORE}
)
CLAIM = exactly(
    {
        "text": {"type": "string", "minLength": 1},
        "start": PLACE,
        "end": PLACE,
        "score": SCORE,
        "outcome": {"enum": OUTCOMES},
        "note": {"type": "string"},
        "failing": {"anyOf": [{"type": "null"}, exactly({"start": PLACE, "end": PLACE})]},
        "evidence": {"type": "array", "items": EVIDENCE, "maxItems": 3},
    }
)
SCORED = exactly(
    {
        "id": {},
        "score": SCORE,
        "outcome": {"enum": [*OUTCOMES, "nothing_to_check"]},
        "mean": SCORE,
        "share_supported": SCORE,
        "p_all_supported": SCORE,
        "claims": {"type": "array", "items": CLAIM},
    }
)
FAILED = exactly({"id": {}, "error": exactly({"code": {"type": "string"}, "message": {"type": "string"}})})
LINE = jsonschema.Draft202012Validator({"anyOf": [SCORED, FAILED]})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "words")


@pytest.fixture(scope="module")
def aligner(model: Path) -> AlignmentAligner:
    return AlignmentAligner(model, engine=PairEngine(model, dtype="float32"))


def scores_of(model: Path, *records: Any, options: tuple[Any, ...] = ()) -> list[Any]:
    done = run("score", "--model", model, "--dtype", "float32", *options, stdin=lines_of(records))
    assert done.err == ""
    for line in done.lines:
        LINE.validate(line)
    return done.lines


def test_an_answer_is_worth_its_least_supported_claim(model: Path) -> None:
    answer = "Ada founded Acme in Oslo. The company sells bicycles. Rex sold candles to Berlin in March."
    (line,) = scores_of(model, {"id": "a", "claim": answer, "context": SOURCE})
    scores = [claim["score"] for claim in line["claims"]]
    assert [claim["outcome"] for claim in line["claims"]] == ["supported", "supported", "not_found"]
    assert line["score"] == min(scores) == scores[2]
    assert line["mean"] == pytest.approx(sum(scores) / 3)
    assert line["share_supported"] == pytest.approx(2 / 3)
    assert line["p_all_supported"] == pytest.approx(scores[0] * scores[1] * scores[2])
    assert line["outcome"] == "not_found"


def test_the_gravest_claim_names_the_answers_outcome(model: Path) -> None:
    answer = "Ada founded Acme in Oslo in 1987. The moon is made of green cheese."
    (line,) = scores_of(model, {"id": 1, "claim": answer, "context": SOURCE})
    assert [claim["outcome"] for claim in line["claims"]] == ["contradicted", "not_found"]
    assert line["outcome"] == "contradicted"
    assert line["claims"][0]["failing"] is not None


def test_offsets_are_into_the_texts_as_given(model: Path) -> None:
    answer, passages = (
        "  – Ada founded Acme in Oslo.\n\n• The company sells bicycles.",
        ["Nothing here.", SOURCE],
    )
    (line,) = scores_of(model, {"id": 1, "claim": answer, "passages": passages})
    assert len(line["claims"]) == 2
    for claim in line["claims"]:
        assert answer[claim["start"] : claim["end"]] == claim["text"]
        for one in claim["evidence"]:
            assert passages[one["passage"]][one["start"] : one["end"]] == one["text"]
    assert line["claims"][1]["evidence"][0]["text"] == "The company sells bicycles."


def test_a_short_answer_is_read_with_its_question(tmp_path: Path) -> None:
    model = save_model(tmp_path / "plain", combiner=None)
    record = {"id": 1, "claim": "Ada.", "context": SOURCE}
    alone, asked = scores_of(model, record, {**record, "question": "Who founded Acme in Oslo in 1978?"})
    assert alone["claims"][0]["score"] != asked["claims"][0]["score"]


@pytest.mark.parametrize("profile", ["strict", "compat"])
@pytest.mark.parametrize(
    "source", [{"context": ""}, {"context": "\n"}, {"passages": []}, {"passages": ["", " \n"]}]
)
def test_without_a_source_nothing_is_verified(model: Path, profile: str, source: Any) -> None:
    (line,) = run(
        "score",
        "--model",
        model,
        "--profile",
        profile,
        stdin=lines_of([{"id": 1, "claim": "Ada left.", **source}]),
    ).lines
    assert (line["score"], line["outcome"]) == (None, "unverifiable")


@pytest.mark.parametrize("profile", ["strict", "compat"])
@pytest.mark.parametrize("claim", ["", "\n", "!?"])
def test_without_a_claim_there_is_nothing_to_check(model: Path, profile: str, claim: str) -> None:
    (line,) = run(
        "score",
        "--model",
        model,
        "--profile",
        profile,
        stdin=lines_of([{"id": 1, "claim": claim, "context": ""}]),
    ).lines
    assert (line["score"], line["outcome"]) == (None, "nothing_to_check")


def test_no_lines_give_no_lines(model: Path) -> None:
    done = run("score", "--model", model, stdin=b"\n \n")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_bad_line_is_an_item_and_the_others_are_scored(model: Path) -> None:
    good = {"id": "same", "claim": "Ada left.", "context": SOURCE}
    bad: list[Any] = [
        {"id": "no claim", "context": SOURCE},
        {"id": "no context", "claim": "Ada left."},
        {**good, "passages": [SOURCE]},
        {"id": 4, "claim": ["Ada left."], "context": SOURCE},
        {"id": 5, "claim": "Ada left.", "passages": [SOURCE, None]},
        {"id": 6, "claim": "Ada left.", "passages": SOURCE},
        {"id": 7, "claim": "Ada left.", "context": SOURCE, "question": 7},
        ["Ada left."],
    ]
    stdin = lines_of([good, *bad]) + b'{"id": \n\xff\xfe\n' + lines_of([good])
    done = run("score", "--model", model, stdin=stdin)
    assert done.code == 3
    for line in done.lines:
        LINE.validate(line)
    assert ["error" in line for line in done.lines] == [False, *[True] * 10, False]
    assert [line["id"] for line in done.lines] == [
        "same", "no claim", "no context", "same", 4, 5, 6, 7,
        "stdin, line 9", "stdin, line 10", "stdin, line 11", "same",
    ]  # fmt: skip
    assert {line["error"]["code"] for line in done.lines if "error" in line} == {"data"}
    assert done.lines[0] == done.lines[-1]
    assert "Ada" not in "".join(json.dumps(line["error"]) for line in done.lines if "error" in line)


def test_a_file_may_be_its_own_output(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(lines_of([{"id": i, "claim": "Ada left.", "context": SOURCE} for i in range(3)]))
    done = run("score", "--model", model, "--input", file, "--output", file)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == [0, 1, 2]


def test_the_published_profile_gives_its_own_score(model: Path) -> None:
    record = {"id": 1, "claim": "Ada founded Acme. Rex sold candles.", "passages": [SOURCE, "Rex left."]}
    by_mode = {}
    for mode in ("nli_sp", "nli", "bin_sp", "bin", "reg_sp", "reg"):
        (line,) = run(
            "score", "--model", model, "--profile", "compat", "--mode", mode, stdin=lines_of([record])
        ).lines
        assert set(line) == {"id", "score", "outcome", "sentences", "cut_pairs", "cut_tokens"}
        assert len(line["sentences"]) == (2 if mode.endswith("_sp") else 1)
        assert line["score"] == pytest.approx(sum(line["sentences"]) / len(line["sentences"]))
        by_mode[mode] = line["score"]
    assert len(set(by_mode.values())) == 6
    default = run("score", "--model", model, "--profile", "compat", stdin=lines_of([record])).body
    assert default["score"] == by_mode["nli_sp"]


def test_a_combiner_and_a_threshold_of_ones_own_are_used(model: Path, tmp_path: Path) -> None:
    record = {"id": 1, "claim": "Ada founded Acme in Oslo.", "context": SOURCE}
    (own,) = scores_of(model, record)
    (strict_one,) = scores_of(model, record, options=("--threshold", "0.999"))
    assert own["outcome"] == "supported"
    assert (strict_one["outcome"], strict_one["score"]) == ("not_found", own["score"])
    bare = save_model(tmp_path / "bare", combiner=None)
    (plain,) = scores_of(bare, record)
    (given_it,) = scores_of(bare, record, options=("--combiner", model / "combiner.json"))
    assert plain["score"] != own["score"]
    assert given_it["score"] == pytest.approx(own["score"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mode", "nli"), "--mode is for --profile compat"),
        (("--profile", "compat", "--threshold", "0.5"), "are for --profile strict"),
        (("--threshold", "1"), "threshold must be in [0, 1)"),
        (("--combiner", "nowhere.json"), "nowhere.json is not a combiner"),
        (("--tokenizer", "tokenizer.json"), "--tokenizer is for a .ckpt file"),
        (("--backend", "nonsense"), "nonsense"),
        (("--input", "nowhere.jsonl"), "nowhere.jsonl"),
    ],
)
def test_wrong_options_end_with_2_before_anything_is_read(model: Path, options: Any, message: str) -> None:
    done = run("score", "--model", model, *options, stdin=b"{")
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_a_missing_model_ends_with_2(tmp_path: Path) -> None:
    done = run("score", "--model", tmp_path / "none", stdin=b"")
    assert (done.code, done.out) == (2, "")
    assert "there is no alignment model" in done.err


def test_a_published_checkpoint_takes_its_tokenizer_from_elsewhere(tmp_path: Path) -> None:
    made = random_pair_model()
    checkpoint = write_checkpoint(tmp_path / "AlignScore-tiny.ckpt", made, with_tokenizer=False)
    definition = tmp_path / "other" / "tokenizer.json"
    definition.parent.mkdir()
    definition.write_text(made.tokens.definition)
    stdin = lines_of([{"id": 1, "claim": "Ada left.", "context": SOURCE}])
    assert run("score", "--model", checkpoint, stdin=stdin).code == 2
    done = run("score", "--model", checkpoint, "--tokenizer", definition, stdin=stdin)
    assert (done.code, done.body["outcome"] in OUTCOMES) == (0, True)


# Together


def records_of(count: int) -> list[dict[str, Any]]:
    return [
        {"id": i, "claim": f"Ada founded Acme number {i}.", "context": f"{SOURCE} It is number {i}."}
        for i in range(count)
    ]


def passes(aligner: AlignmentAligner, file: Path) -> tuple[int, list[Any]]:
    before = aligner.engine.stats.passes
    found = [line for group in groups(str(file)) for line in scored(group, strict(aligner))]
    return aligner.engine.stats.passes - before, found


def test_lines_share_the_models_forward_passes(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(lines_of(records_of(48)))
    together, found = passes(
        AlignmentAligner(model, engine=PairEngine(model, dtype="float32", cache_size=0)), file
    )
    alone, one_by_one = 0, []
    single = AlignmentAligner(model, engine=PairEngine(model, dtype="float32", cache_size=0))
    for record in records_of(48):
        file.write_bytes(lines_of([record]))
        count, lines = passes(single, file)
        alone, one_by_one = alone + count, one_by_one + lines
    assert together * 8 <= alone
    assert [line["id"] for line in found] == list(range(48))
    assert [line["score"] for line in found] == pytest.approx([line["score"] for line in one_by_one])


def test_a_failure_of_one_line_leaves_the_others_of_its_group_alone(aligner: AlignmentAligner) -> None:
    good, judge = records_of(3), strict(aligner)

    def hurt(items: Any) -> Any:
        if any("number 1." in item.text for item in items):
            raise RuntimeError("secret text")
        return judge(items)

    found = list(scored([(f"line {r['id']}", r) for r in good], hurt))
    assert [line.get("error") for line in found] == [
        None,
        {"code": "unexpected", "message": "RuntimeError"},
        None,
    ]
    assert [found[2]] == list(scored([("line 2", good[2])], judge))


def test_a_group_ends_where_memory_would_fill_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(lines_of(records_of(10)))
    monkeypatch.setattr(align_items, "MOST_CHARACTERS", 350)
    monkeypatch.setattr(align_items, "MOST_ITEMS", 4)
    sizes = [len(group) for group in groups(str(file))]
    assert sizes == [3, 3, 3, 1]


def test_long_answers_and_sources_are_read_whole(aligner: AlignmentAligner) -> None:
    answer = " ".join(f"Ada founded the company number {i} in Oslo." for i in range(350))
    assert len(answer) > 15_000 - 1000
    passages = [f"Rex bought Dino. {SOURCE} " * 5, "Ada founded the company number 349 in Oslo."]
    (line,) = scored([("a", {"id": "a", "claim": answer, "passages": passages})], strict(aligner))
    LINE.validate(line)
    assert len(line["claims"]) == 350
    assert line["claims"][349]["score"] > max(claim["score"] for claim in line["claims"][:349])


# Hostile


texts = st.text(max_size=80) | st.sampled_from(["Ada founded Acme.", "Yes.", "I don't know.", "1987", SOURCE])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda x: st.lists(x, max_size=3),
    max_leaves=4,
)
records = st.fixed_dictionaries(
    {}, optional={"id": anything, "claim": texts | anything, "context": texts | anything,
                  "passages": st.lists(texts, max_size=3) | anything, "question": texts | anything}
)  # fmt: skip


@given(st.lists(records | anything, max_size=6))
@settings(max_examples=60, deadline=None)
def test_whatever_json_comes_in_every_line_is_answered(aligner: AlignmentAligner, rows: list[Any]) -> None:
    lines = [json.dumps(row).encode() for row in rows]
    group = list(items_of("file", lines))
    found = list(scored(group, strict(aligner)))
    assert len(found) == len(rows)
    for line, row in zip(found, rows, strict=True):
        LINE.validate(line)
        assert "unexpected" not in json.dumps(line.get("error", ""))
        for claim in line.get("claims", ()):
            assert row["claim"][claim["start"] : claim["end"]] == claim["text"]
            sources = row["passages"] if "passages" in row else [row["context"]]
            for one in claim["evidence"]:
                assert sources[one["passage"]][one["start"] : one["end"]] == one["text"]


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_whatever_bytes_come_in_every_line_is_answered(aligner: AlignmentAligner, data: bytes) -> None:
    lines = data.split(b"\n")
    found = list(scored(list(items_of("stdin", lines)), strict(aligner)))
    assert len(found) == sum(1 for line in lines if line.strip())
    for line in found:
        LINE.validate(line)


# From a pipe


def written(data: bytes) -> Iterator[bytes]:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    try:
        yield from Arriving(reading)
    finally:
        os.close(reading)


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_pipes_lines_are_those_written(rows: list[bytes]) -> None:
    assert list(written(b"\n".join(rows))) == (rows or [b""])


def test_nothing_waits_for_a_line_not_yet_written() -> None:
    reading, writing = os.pipe()
    arriving = Arriving(reading)
    lines = iter(arriving)
    os.write(writing, b"one\ntwo\nthr")
    assert next(lines) == b"one"
    assert not arriving.idle
    assert next(lines) == b"two"
    assert arriving.idle
    os.write(writing, b"ee\n\n")
    assert not arriving.idle
    assert next(lines) == b"three"
    assert arriving.idle
    os.close(writing)
    assert list(lines) == [b"", b""]
    os.close(reading)
