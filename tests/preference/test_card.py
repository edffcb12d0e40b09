from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ragguard.errors import ReaderMismatchError, UnreadableFileError
from ragguard.models.pair_model import load_pair_model
from ragguard.preference.bases import Base, PairBase, base_of
from ragguard.preference.card import KIND, SIDECAR, CrossEncoderScorer, card_of, load_reranker, require_reader
from tests.preference.worlds import tiny_base, tiny_cross_encoder

CARD = {"kind": KIND, "reader": "reader-a", "promoted": True}


@pytest.fixture(params=["pair", "cross-encoder"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Base:
    return PairBase(tiny_base()) if request.param == "pair" else base_of(tiny_cross_encoder(tmp_path / "ce"))


def test_the_card_travels_with_the_weights(base: Base, tmp_path: Path) -> None:
    folder = base.save(tmp_path / "model", CARD)
    moved = folder.rename(tmp_path / "elsewhere")
    assert {name: card_of(moved)[name] for name in CARD} == CARD


def test_a_loaded_model_has_its_card(tmp_path: Path) -> None:
    folder = PairBase(tiny_base()).save(tmp_path / "model", CARD)
    assert card_of(load_pair_model(folder))["reader"] == "reader-a"


def test_another_reader_is_refused_unless_forced(base: Base, tmp_path: Path) -> None:
    folder = base.save(tmp_path / "model", CARD)
    with pytest.raises(ReaderMismatchError, match="learned from reader 'reader-a' and is asked to serve 'b'"):
        load_reranker(folder, reader="b")
    with pytest.raises(ReaderMismatchError, match="no reader is named"):
        load_reranker(folder, reader=None)
    pairs = [("Where is Ada?", "Ada founded Acme."), ("Where is Rex?", "Water boils at 100 degrees.")]
    mine = load_reranker(folder, reader="reader-a").score_pairs(pairs)
    assert load_reranker(folder, reader="b", force=True).score_pairs(pairs).tolist() == mine.tolist()


def test_a_model_that_learned_from_no_reader_serves_any() -> None:
    assert card_of(tiny_base()) == {}
    require_reader({}, "anyone")


def test_a_card_beside_other_weights_is_refused(tmp_path: Path) -> None:
    folder = base_of(tiny_cross_encoder(tmp_path / "ce")).save(tmp_path / "model", CARD)
    other = tiny_cross_encoder(tmp_path / "other", seed=1)
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(UnreadableFileError, match=r"not those that preference\.json was written for"):
        card_of(folder)


def test_a_folder_without_a_card_has_none(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "ce")
    assert card_of(folder) == {}
    (folder / SIDECAR).write_text(json.dumps({"card": {"kind": "something else"}}))
    with pytest.raises(UnreadableFileError):
        card_of(folder)


def test_a_trained_cross_encoder_may_be_written_anew(tmp_path: Path) -> None:
    base = base_of(tiny_cross_encoder(tmp_path / "ce"))
    folder = base.save(tmp_path / "model", CARD)
    assert base.save(folder, {**CARD, "promoted": False}) == folder
    assert card_of(folder)["promoted"] is False


def test_no_pair_gives_no_score(tmp_path: Path) -> None:
    scorer = CrossEncoderScorer(tiny_cross_encoder(tmp_path / "ce"))
    assert scorer.score_pairs([]).shape == (0,)
    assert len(scorer.fingerprint()["weights_sha256"]) == 64


def test_reading_a_card_loads_no_framework() -> None:
    code = "import sys, ragguard.preference.card, ragguard.preference.groups, ragguard.preference.promotion\n"
    code += "print(*{'torch', 'transformers', 'sentence_transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
