"""Public question sets in their published formats, as passages and questions with relevant passages.

Nothing is shipped: a folder is given, and a set that is not in it raises
`AbsentDataError`. (The module is not called `datasets`: a script's own folder comes
first on the path and would hide the package of that name from every script here.)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ragguard.conformal.observations import Target
from ragguard.corpus.chunk import chunk_documents
from ragguard.corpus.documents import Document
from ragguard.protocols import Embedder


class AbsentDataError(Exception):
    """A file of a question set is not in the data folder."""


@dataclass(frozen=True)
class Question:
    """One answerable question.

    Attributes:
        text: as asked.
        relevant: ids of the passages that answer it; one that is in no store counts as a miss.
        document: what it was written about; tuning and cluster splits keep a document whole.
        scope: retrieval is restricted to passages of this scope, or None for the whole store.
    """

    text: str
    relevant: tuple[str, ...]
    document: str
    scope: str | None = None


@dataclass(frozen=True)
class QuestionSet:
    """Passages, questions and how they are used.

    Attributes:
        name: as on the command line.
        description: what a question's relevant passages are.
        passages: id -> text.
        questions: answerable ones; equal words about one document are one question.
        target: what must be kept.
        scopes: passage id -> scope; empty when every question searches the whole store.
        tuning_share: share of questions, by whole documents, that scores are chosen on.
        sizes: calibration sizes.
        clustered: True when documents hold many questions, and shift between them is measured.
    """

    name: str
    description: str
    passages: Mapping[str, str]
    questions: Sequence[Question]
    target: Target = "any"
    scopes: Mapping[str, str] = field(default_factory=dict)
    tuning_share: float = 0.5
    sizes: tuple[int, ...] = (20, 50, 100, 500)
    clustered: bool = False


def load(name: str, folder: Path, embedder: Embedder) -> QuestionSet:
    """Return the question set of that name from the data folder.

    Raises:
        AbsentDataError: a file of it is not there.
    """
    return LOADERS[name](folder / "retrieval", embedder)


def split_documents(questions: Sequence[Question], share: float) -> tuple[list[int], list[int]]:
    """Return (tuning, rest) as indices; documents go to tuning in the order of their hash, up to the share."""
    by_document: dict[str, list[int]] = {}
    for index, question in enumerate(questions):
        by_document.setdefault(question.document, []).append(index)
    tuning: list[int] = []
    for name in sorted(by_document, key=lambda d: hashlib.sha256(d.encode()).hexdigest()):
        if len(tuning) + len(by_document[name]) <= share * len(questions):
            tuning.extend(by_document[name])
    chosen = set(tuning)
    return sorted(tuning), [i for i in range(len(questions)) if i not in chosen]


def squad(folder: Path, _: Embedder) -> QuestionSet:
    """SQuAD 2.0: the paragraph an answerable question hangs under is its passage."""
    store, asked = _Store(), []
    for article in _json(folder / "squad2" / "dev-v2.0.json")["data"]:
        for number, paragraph in enumerate(article["paragraphs"]):
            passage = store.add(f"{article['title']}#{number}", paragraph["context"])
            asked += [
                Question(qa["question"], (passage,), article["title"])
                for qa in paragraph["qas"]
                if not qa["is_impossible"]
            ]
    about = "the paragraph the question was written about, among all paragraphs"
    return QuestionSet("squad", about, store.texts, merged(asked), clustered=True)


def covid_qa(folder: Path, embedder: Embedder) -> QuestionSet:
    """COVID-QA: articles cut into passages of at most 200 tokens; those that overlap the answer are relevant."""
    articles = [a["paragraphs"][0] for a in _json(folder / "covid_qa" / "200423_covidQA.json")["data"]]
    documents = [Document(id=f"article-{i}", text=a["context"]) for i, a in enumerate(articles)]
    chunks: dict[str, list[tuple[int, int, str]]] = {}
    store = _Store()
    for passage in chunk_documents(documents, embedder, max_tokens=200):
        name = store.add(passage.id, passage.text)
        if passage.document is not None and passage.span is not None:
            where = (passage.span.start, passage.span.end, name)
            chunks.setdefault(passage.document, []).append(where)
    asked = []
    for document, article in zip(documents, articles, strict=True):
        for qa in article["qas"]:
            spans = [answer_span(document.text, a["text"], a["answer_start"]) for a in qa["answers"]]
            relevant = [
                n for a, b, n in chunks[document.id] if any(a < end and start < b for start, end in spans)
            ]
            asked.append(Question(qa["question"], tuple(relevant), document.id))
    about = "chunks (200 tokens) that overlap the answer, among the chunks of all articles"
    return QuestionSet("covid_qa", about, store.texts, merged(asked), clustered=True)


def answer_span(text: str, answer: str, start: int) -> tuple[int, int]:
    """Return where the answer stands: at its offset, or at the nearest place when the offset is off."""
    if not text.startswith(answer, start):
        places = [match.start() for match in re.finditer(re.escape(answer), text)]
        start = min(places, key=lambda place: abs(place - start), default=start)
    return start, start + max(1, len(answer))


def policyqa(folder: Path, _: Embedder) -> QuestionSet:
    """PolicyQA: a question searches its own policy; every segment it was answered from is relevant."""
    store, scopes, asked = _Store(), {}, []
    for policy in _json(folder / "policyqa" / "dev.json")["data"]:
        title = policy["title"]
        for number, segment in enumerate(policy["paragraphs"]):
            passage = store.add(f"{title}#{number}", segment["context"], scope=title)
            scopes[passage] = title
            asked += [Question(qa["question"], (passage,), title, title) for qa in segment["qas"]]
    about = "segments the question is answered from, among the segments of its own policy"
    return QuestionSet("policyqa", about, store.texts, merged(asked), scopes=scopes, clustered=True)


def hotpotqa(folder: Path, _: Embedder) -> QuestionSet:
    """HotpotQA sample: all paragraphs that hold a supporting fact are needed."""
    corpus = _json(folder / "multihop" / "hotpotqa_train_corpus.json")
    passages = {title: f"{title}\n{''.join(sentences)}" for title, sentences in corpus.items()}
    asked = [
        Question(q["question"], tuple(dict.fromkeys(t for t, _ in q["supporting_facts"])), q["_id"])
        for q in _json(folder / "multihop" / "hotpotqa_train.json")
    ]
    return _multihop("hotpotqa", passages, asked)


def musique(folder: Path, _: Embedder) -> QuestionSet:
    """MuSiQue sample: all supporting paragraphs are needed."""
    store = _Store()
    for number, entry in enumerate(_json(folder / "multihop" / "musique_train_corpus.json")):
        store.add(f"musique#{number}", f"{entry['title']}\n{entry['text']}")
    asked = []
    for q in _json(folder / "multihop" / "musique_train.json"):
        texts = [f"{p['title']}\n{p['paragraph_text']}" for p in q["paragraphs"] if p["is_supporting"]]
        relevant = tuple(dict.fromkeys(store.id_of(text) for text in texts))
        asked.append(Question(q["question"], relevant, q["id"]))
    return _multihop("musique", store.texts, asked)


def with_distractors(
    base: Callable[[Path, Embedder], QuestionSet],
) -> Callable[[Path, Embedder], QuestionSet]:
    """Return the loader of a multi-hop set with the 2WikiMultihopQA corpus added to its store."""

    def loader(folder: Path, embedder: Embedder) -> QuestionSet:
        found = base(folder, embedder)
        entries = _json(folder / "multihop" / "2wikimultihopqa_corpus.json")
        passages = dict(found.passages)
        known = set(passages.values())
        for number, entry in enumerate(entries):
            text = f"{entry['title']}\n{entry['text']}"
            if text not in known:
                passages[f"2wiki#{number}"] = text
        return _multihop(f"{found.name}_2wiki", passages, found.questions)

    return loader


def cranfield(folder: Path, _: Embedder) -> QuestionSet:
    """Cranfield: every document of a grade above 0 is relevant; empty documents are in no store."""
    documents = _records(folder / "cranfield" / "cran.all.1400")
    passages = {str(i): text for i, text in enumerate(documents, start=1) if text}
    judged: dict[int, list[str]] = {}
    for line in _text(folder / "cranfield" / "cranqrel").splitlines():
        parts = line.split()
        if len(parts) == 3 and int(parts[2]) > 0:
            judged.setdefault(int(parts[0]), []).append(parts[1])
    # The judgements number the queries by their place in the file, not by the number printed after .I.
    queries = enumerate(_records(folder / "cranfield" / "cran.qry"), start=1)
    asked = [Question(q, tuple(dict.fromkeys(judged[i])), f"query-{i}") for i, q in queries if i in judged]
    about = "documents judged relevant (any grade above 0), among all documents"
    return QuestionSet(
        "cranfield", about, passages, asked, target="recall", tuning_share=0.2, sizes=(20, 50, 100)
    )


LOADERS: Mapping[str, Callable[[Path, Embedder], QuestionSet]] = {
    "squad": squad,
    "covid_qa": covid_qa,
    "policyqa": policyqa,
    "hotpotqa": hotpotqa,
    "musique": musique,
    "hotpotqa_2wiki": with_distractors(hotpotqa),
    "musique_2wiki": with_distractors(musique),
    "cranfield": cranfield,
}


def merged(questions: Iterable[Question]) -> list[Question]:
    """Return questions with those of equal words about one document made one, relevant to all their passages."""
    found: dict[tuple[str, str], Question] = {}
    for q in questions:
        key = (q.document, " ".join(q.text.split()))
        earlier = found.get(key)
        relevant = q.relevant if earlier is None else tuple(dict.fromkeys((*earlier.relevant, *q.relevant)))
        found[key] = Question(q.text, relevant, q.document, q.scope)
    return list(found.values())


class _Store:
    """Passages by id, equal texts of one scope once."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._ids: dict[tuple[str | None, str], str] = {}

    def add(self, name: str, text: str, *, scope: str | None = None) -> str:
        """Return the id under which the text is stored."""
        known = self._ids.setdefault((scope, text), name)
        self.texts.setdefault(known, text)
        return known

    def id_of(self, text: str) -> str:
        """Return the id of a text, or one that is in no store."""
        return self._ids.get((None, text), f"absent:{hashlib.sha256(text.encode()).hexdigest()[:12]}")


def _multihop(name: str, passages: Mapping[str, str], asked: Sequence[Question]) -> QuestionSet:
    about = "all supporting paragraphs, among the paragraphs of all questions"
    if name.endswith("_2wiki"):
        about += " and the 2WikiMultihopQA corpus"
    return QuestionSet(name, about, passages, asked, target="all", tuning_share=0.2, sizes=(20, 50))


def _records(path: Path) -> list[str]:
    """Return the .W text of each record, "" where it is empty, in file order."""
    records = re.split(r"^\.I \d+ *$", _text(path), flags=re.MULTILINE)[1:]
    return [" ".join(record.partition(".W")[2].split()) for record in records]


def _json(path: Path) -> Any:
    return json.loads(_text(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise AbsentDataError(f"{path.parent.name}/{path.name} is not in the data folder") from error
