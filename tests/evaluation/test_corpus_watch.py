"""A live guard notices that its index has changed under it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragguard import Guard, Reason
from ragguard.corpus.documents import Document
from ragguard.corpus.folder import CorpusFolder
from ragguard.testing import HashEmbedder

WORDS = (
    "amber basil cedar delta ember fjord grove heron islet jetty koala lemon maple nylon olive pearl".split()
)


def documents(*extra: str) -> list[Document]:
    return [Document(id=word, text=f"The {word} is described here.") for word in (*WORDS, *extra)]


def served(path: Path, tolerance: float) -> Guard:
    corpus = CorpusFolder.build(path, documents(), embedder=HashEmbedder(256))
    questions = [{"id": w, "question": f"Where is the {w} described?", "relevant": [w]} for w in WORDS]
    return Guard.calibrate(
        questions=questions, corpus=corpus, tolerance=tolerance, novelty_level=None, guards=(), score="gap"
    )


def test_a_small_change_while_serving_degrades_the_certificate(tmp_path: Path) -> None:
    guard = served(tmp_path, 0.2)
    certificate = guard.retrieve("Where is the amber described?").certificate()
    assert certificate is not None
    assert certificate.status == "valid"
    assert guard.corpus is not None
    guard.corpus.update(documents("quartz"))
    certificate = guard.retrieve("Where is the amber described?").certificate()
    assert certificate is not None
    assert certificate.status == "degraded"
    assert certificate.notes[0].endswith("1 passages added, 0 removed")


def test_a_large_change_while_serving_is_refused(tmp_path: Path) -> None:
    guard = served(tmp_path, 0.05)
    assert guard.corpus is not None
    guard.corpus.update(documents("quartz", "raven"))
    report = guard.retrieve("Where is the amber described?")
    assert (report.released, report.reason) == (False, Reason.GUARD_ERROR)
    error = report.verdicts[-1].error
    assert error is not None
    assert error.code == "calibration_mismatch"


def test_a_change_taken_back_is_valid_again(tmp_path: Path) -> None:
    guard = served(tmp_path, 0.05)
    assert guard.corpus is not None
    guard.corpus.update(documents("quartz"))
    guard.corpus.update(documents())
    certificate = guard.retrieve("Where is the amber described?").certificate()
    assert certificate is not None
    assert certificate.status == "valid"


@pytest.mark.parametrize("alone", ["calibration", "retriever"])
def test_without_both_sides_there_is_nothing_to_compare(alone: str, tmp_path: Path) -> None:
    from ragguard.evaluation.corpus_watch import CorpusWatch

    guard = served(tmp_path, 0.1)
    assert CorpusWatch(guard.calibration if alone == "calibration" else None, None)() is None
