"""`ragguard align explain` and `convert`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import logit

from ragguard.alignment.checks import FEATURES
from ragguard.alignment.features import NAMES
from ragguard.models.pair_model import load_pair_model
from tests.cli.align_case import BY_WORDS, run, save_model
from tests.cli.running import lines_of
from tests.models.random_models import logits_of, random_pair_model, write_checkpoint

SOURCE = "Ada founded Acme in Oslo in 1978. The company sells bicycles."
ANSWER = "Ada founded Acme in Oslo in 1987. The company sells bicycles."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "words")


def explained(model: Path, *options: Any, claim: str = ANSWER) -> Any:
    done = run("explain", "--model", model, "--dtype", "float32", "--claim", claim, *options, "--json")
    assert (done.code, done.err) == (0, "")
    return done.body


def test_an_explanation_adds_to_what_score_says(model: Path) -> None:
    body = explained(model, "--context", SOURCE)
    record = {"id": 1, "claim": ANSWER, "context": SOURCE}
    scored = run("score", "--model", model, "--dtype", "float32", stdin=lines_of([record])).body
    added = {"read_as", "contributions", "features", "findings"}
    short = {**body, "claims": [{k: v for k, v in c.items() if k not in added} for c in body["claims"]]}
    assert {"id": 1, **{k: v for k, v in short.items() if k not in ("threshold", "base")}} == scored


def test_contributions_add_up_to_the_score(model: Path) -> None:
    body = explained(model, "--context", SOURCE)
    assert (body["threshold"], body["base"]) == (0.5, BY_WORDS.intercept)
    for claim in body["claims"]:
        assert set(claim["contributions"]) == set(BY_WORDS.names)
        total = body["base"] + sum(claim["contributions"].values())
        assert total == pytest.approx(logit(claim["score"]))
        assert tuple(claim["features"]) == NAMES
        assert set(FEATURES) <= set(claim["features"])


def test_findings_stand_in_the_answer_and_in_its_source(model: Path) -> None:
    body = explained(model, "--context", SOURCE)
    (wrong,) = [f for f in body["claims"][0]["findings"] if f["outcome"] == "conflicts"]
    assert ANSWER[wrong["start"] : wrong["end"]] == "1987"
    source = wrong["source"]
    assert (source["passage"], SOURCE[source["start"] : source["end"]]) == (0, "1978")
    failing = body["claims"][0]["failing"]
    assert ANSWER[failing["start"] : failing["end"]] == "1987"


def test_findings_stand_in_their_own_passage(model: Path, tmp_path: Path) -> None:
    texts = ["Nothing of it is here.", SOURCE, "Nor here."]
    file = tmp_path / "p.jsonl"
    file.write_bytes(lines_of([{"id": f"d{i}", "text": text} for i, text in enumerate(texts)]))
    found = explained(model, "--passages", file)["claims"][0]["findings"]
    (wrong,) = [f["source"] for f in found if f["outcome"] == "conflicts"]
    assert (wrong["passage"], SOURCE[wrong["start"] : wrong["end"]]) == (1, "1978")
    for finding in found:
        if finding["source"] is not None:
            assert finding["source"]["end"] <= len(texts[finding["source"]["passage"]])


def test_people_read_claims_evidence_and_what_fails(model: Path) -> None:
    done = run("explain", "--model", model, "--dtype", "float32", "--claim", ANSWER, "--context", SOURCE)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "Ada founded Acme in Oslo in 1987."
    assert lines[1].startswith("  contradicted 0.")
    assert "fails at '1987'" in lines[1]
    assert any(line.startswith("  evidence context[0:33]") and "in 1978." in line for line in lines)
    assert any(line.startswith("  check date conflicts: claim says 1987") for line in lines)
    assert any(line.startswith("  log-odds ") and "= base -11.00" in line for line in lines)
    assert lines[-1].startswith("answer: contradicted 0.")


@pytest.mark.parametrize(("claim", "outcome"), [("", "nothing_to_check"), ("Ada left.", "unverifiable")])
def test_nothing_to_read_is_said_so(model: Path, claim: str, outcome: str) -> None:
    body = explained(model, "--context", " ", claim=claim)
    assert (body["outcome"], body["score"], body["claims"]) == (outcome, None, [])
    done = run("explain", "--model", model, "--claim", claim, "--context", "\n")
    assert (done.code, done.out) == (0, f"answer: {outcome}\n")


def test_markup_in_a_text_is_a_text(model: Path) -> None:
    claim = "Ada sells [bold]bicycles[/red] in Oslo."
    done = run("explain", "--model", model, "--claim", claim, "--context", "[/x] Ada sells [i] bicycles.")
    assert (done.code, done.out.splitlines()[0]) == (0, claim)


@pytest.mark.parametrize(
    "options", [(), ("--context", "a", "--passages", "b.txt"), ("--passages", "none.txt")]
)
def test_a_source_is_given_once(model: Path, options: Any) -> None:
    done = run("explain", "--model", model, "--claim", "Ada left.", *options)
    assert (done.code, done.out) == (2, "")


# convert


def test_a_checkpoint_becomes_a_folder_of_the_same_scores(tmp_path: Path) -> None:
    made = random_pair_model()
    checkpoint = write_checkpoint(tmp_path / "AlignScore-tiny.ckpt", made)
    done = run("convert", checkpoint, tmp_path / "folder", "--json")
    assert (done.code, done.err) == (0, "")
    assert {"name": "AlignScore-tiny", "storage": "float32", "combiner": False}.items() <= done.body.items()
    pairs = [("Ada founded Acme.", "Acme was founded."), ("Rex left.", "Rex stayed.")]
    converted = load_pair_model(tmp_path / "folder")
    np.testing.assert_allclose(logits_of(converted, pairs), logits_of(made, pairs), atol=1e-5)
    card = json.loads((tmp_path / "folder" / "ragguard.json").read_text())["card"]
    assert card["converted_from"] == "AlignScore-tiny.ckpt"


def test_a_model_keeps_its_combiner_also_in_its_own_place(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    before = (folder / "combiner.json").read_bytes()
    size = (folder / "model.safetensors").stat().st_size
    for target in (tmp_path / "other", folder):
        done = run("convert", folder, target, "--storage", "int8", "--json")
        assert (done.code, done.body["combiner"]) == (0, True)
        assert (target / "combiner.json").read_bytes() == before
        assert (target / "model.safetensors").stat().st_size < size / 2


def test_what_cannot_be_converted_ends_with_2(tmp_path: Path) -> None:
    made = random_pair_model()
    bare = write_checkpoint(tmp_path / "a.ckpt", made, with_tokenizer=False)
    (tmp_path / "broken.ckpt").write_bytes(b"not a checkpoint")
    (tmp_path / "tokenizer.json").write_text(made.tokens.definition)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "precious.txt").write_text("keep me")
    folder = save_model(tmp_path / "model")
    for arguments in [
        (tmp_path / "none.ckpt", tmp_path / "o"),
        (tmp_path / "broken.ckpt", tmp_path / "o"),
        (bare, taken),
        (folder, tmp_path / "o", "--tokenizer", tmp_path / "tokenizer.json"),
    ]:
        done = run("convert", *arguments)
        assert (done.code, done.out) == (2, ""), arguments
        assert not (tmp_path / "o").exists()
    assert (taken / "precious.txt").read_text() == "keep me"
