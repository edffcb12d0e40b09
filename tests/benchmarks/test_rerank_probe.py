import json
from pathlib import Path

import pytest

from benchmarks.rerank_probe import HELD_OUT, TRAIN, questions, summary
from ragguard.alignment.training.sources import training_half
from ragguard.preference.probe import probe
from ragguard.preference.readers import as_reader
from ragguard.types import Passage


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten invented articles in the published format, enough for both halves."""
    articles = []
    for number in range(10):
        title = f"Article {number}"
        paragraphs = []
        for place in range(20):
            text = f"Fact {place} of {title} is thing-{number}-{place}."
            asked = [
                {
                    "id": f"{number}-{place}-{i}",
                    "question": f"What is fact {place} of {title}, asked {i}?",
                    "is_impossible": i == 5,
                    "answers": [{"text": f"thing-{number}-{place}"}] * 2,
                }
                for i in range(6)
            ]
            paragraphs.append({"context": text, "qas": asked})
        articles.append({"title": title, "paragraphs": paragraphs})
    folder = tmp_path / "retrieval/squad2"
    folder.mkdir(parents=True)
    (folder / "dev-v2.0.json").write_text(json.dumps({"data": articles}), encoding="utf-8")
    return tmp_path


def passages(data: Path) -> dict[str, str]:
    published = json.loads((data / "retrieval/squad2/dev-v2.0.json").read_text(encoding="utf-8"))["data"]
    return {f"{a['title']}#{i}": p["context"] for a in published for i, p in enumerate(a["paragraphs"])}


def test_questions_are_answerable_and_the_halves_share_no_article(data: Path) -> None:
    found = questions(data, passages(data))
    assert len({q.id for q in found}) == TRAIN + HELD_OUT
    assert sum(q.split == "held_out" for q in found) == HELD_OUT
    for question in found:
        assert training_half(question.cluster or "") == (question.split == "train")
        assert not question.id.endswith("-5"), "unanswerable questions are left out"
        assert len(question.answers) == 1, "equal answers are one"
    assert found == questions(data, passages(data)), "the seed decides"
    assert found != questions(data, passages(data), seed=6)


def test_counts_are_of_every_category_and_of_the_gold_passage(data: Path) -> None:
    texts = passages(data)
    asked = questions(data, texts)[:20]
    ranked = {
        q.id: [Passage(id=i, text=t) for i, t in texts.items() if i not in q.gold_passages][:150]
        + [Passage(id=i, text=texts[i]) for i in q.gold_passages]
        for q in asked
    }
    reads = as_reader(lambda q, shown: shown[0].text if shown else "nothing", name="reads")
    found = summary(probe(reads, asked, ranked), asked)["train"]
    assert found["questions"] == 20
    assert found["gold_passage"] == {"aligned": 20}
    assert found["other_passages"] == {"both_wrong": 80}
    assert found["questions_with_aligned"] == 20
    assert found["closed_book_correct"] == 0.0
