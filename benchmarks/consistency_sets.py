"""Public factual-consistency sets in their published formats, as claims with their sources and labels.

    from benchmarks.consistency_sets import load_items
    load_items(Path("../shared/data"), half="tuning")  # set name -> items

Every set is divided once by source document, by the parity of the hash of its text.
`tuning` may fit thresholds and calibration, and be looked at while rules are written;
`evaluation` gives every published figure; nothing may be trained on either. Nothing is
shipped: a file that is not there raises `AbsentDataError`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks.question_sets import AbsentDataError

Half = Literal["tuning", "evaluation"]
HALVES: tuple[Half, ...] = ("tuning", "evaluation")


@dataclass(frozen=True)
class Item:
    """One claim to be judged against its source.

    Attributes:
        id: unique in its set.
        document: digest of the source document; items that share one are not independent.
        question: what the claim answers (a question, or the message replied to), or None.
        passages: the source, whole.
        claim: a sentence, a summary or an answer, as published.
        label: 1 when the source supports the whole claim, else 0.
        half: which half the document belongs to.
    """

    id: str
    document: str
    question: str | None
    passages: tuple[str, ...]
    claim: str
    label: int
    half: Half = "tuning"

    @property
    def context(self) -> str:
        """All passages as one text, with blank lines between them."""
        return "\n\n".join(self.passages)


def load_items(
    data: Path, half: Half | None = None, names: Sequence[str] | None = None
) -> dict[str, list[Item]]:
    """Return set name -> items of one half, or of both for None; `names` defaults to all sets.

    Raises:
        AbsentDataError: a file of one of them is not there.
    """
    return {
        name: [item for item in load_set(name, data) if half in (None, item.half)] for name in names or SETS
    }


def load_set(name: str, data: Path) -> list[Item]:
    """Return the items of both halves of one set, in the order of its file.

    Raises:
        AbsentDataError: a file of it is not there.
    """
    return SETS[name](data / "consistency")


def document_key(text: str) -> str:
    """Return the digest of a document by its letters and digits: case and tokenisation make no new one."""
    letters = "".join(ch for ch in text.casefold() if ch.isalnum())
    return hashlib.sha256(letters.encode()).hexdigest()[:24]


def halved(items: Sequence[Item], raw: Callable[[Item], str] = lambda item: item.context) -> list[Item]:
    """Return the items with their half: a document is for `tuning` when the sha256 of its text is even.

    One that occurs in several wordings is for tuning when any of them is.

    Args:
        raw: the text of an item's document as it was first read.
    """
    tuning = {item.document for item in items if _is_even(raw(item))}
    return [replace(item, half="tuning" if item.document in tuning else "evaluation") for item in items]


def _is_even(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[-1] % 2 == 0


def summedits(domain: str) -> Callable[[Path], list[Item]]:
    """Return the reader of a SummEdits domain: summaries, edited or not, of a few documents."""

    def read(folder: Path) -> list[Item]:
        rows = _json(folder / "summedits" / f"summedits_{domain}.json")
        return halved(
            [
                Item(
                    f"{i}:{r['id']}", document_key(r["doc"]), None, (r["doc"],), r["summary"], int(r["label"])
                )
                for i, r in enumerate(rows)
            ]
        )

    return read


def begin(name: str) -> Callable[[Path], list[Item]]:
    """Return the reader of a BEGIN set: replies against knowledge; "Generic" ones claim nothing and are left out."""

    def read(folder: Path) -> list[Item]:
        text = _text(folder / "begin" / name)
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
        kept = [(i, r) for i, r in enumerate(rows) if r["begin_label"] != "Generic"]
        return halved(
            [
                Item(
                    f"{i}:{r['model_name']}",
                    document_key(r["knowledge"]),
                    r["message"],
                    (r["knowledge"],),
                    r["response"],
                    int(r["begin_label"] in ("Fully attributable", "Entailment")),
                )
                for i, r in kept
            ]
        )

    return read


def q2(folder: Path) -> list[Item]:
    """Q2 cross annotation: replies of two systems to one message; label 0 in the file is consistent."""
    rows = list(csv.DictReader(io.StringIO(_text(folder / "q2" / "cross_annotation.csv"), newline="")))
    return halved(
        [
            Item(
                f"{i}:{system}",
                document_key(r["knowledge"]),
                r["message"],
                (r["knowledge"],),
                r[f"{system}_response"],
                int(r[f"{system}_label"] == "0"),
            )
            for system in ("dodeca", "memnet")
            for i, r in enumerate(rows)
        ]
    )


def wice(folder: Path) -> list[Item]:
    """WiCE: a claim against every sentence of the article it cites; partly supported is not supported."""
    rows = _wice_articles(folder)
    texts = {r["meta"]["id"]: "\n".join(r["evidence"]) for r in rows}
    return halved(
        [
            Item(
                r["meta"]["id"],
                document_key("".join(r["evidence"])),
                None,
                ("\n\n".join(r["evidence"]),),
                r["claim"],
                int(r["label"] == "supported"),
            )
            for r in rows
        ],
        raw=lambda item: texts[item.id],
    )


def wice_oracle(folder: Path) -> list[Item]:
    """WiCE oracle chunks: the same claims against a few sentences that hold one annotator's evidence.

    A claim has up to three chunks, each an item with the label it has in the file; the
    document is still the whole article, so that both variants have the same halves.
    """
    articles = {item.id: item for item in wice(folder)}
    rows = _lines(
        folder / "wice_dev" / "code_and_resources__entailment_inputs__oracle_chunks__claim__dev.jsonl"
    )
    return [
        Item(
            f"{i}:{r['meta']['id']}",
            articles[r["meta"]["id"]].document,
            None,
            ("\n\n".join(r["evidence"]),),
            r["claim"],
            int(r["label"] == "supported"),
            articles[r["meta"]["id"]].half,
        )
        for i, r in enumerate(rows)
    ]


def factcc(folder: Path) -> list[Item]:
    """FactCC: single sentences of machine summaries against the news article."""
    rows = _json(folder / "factcc" / "factcc.json")
    return halved(
        [
            Item(name, document_key(r["document"]), None, (r["document"],), r["claim"], int(r["label"]))
            for name, r in rows.items()
        ]
    )


def fever_symmetric(folder: Path) -> list[Item]:
    """FEVER-symmetric: two claims and two evidences crossed, so that a claim alone tells nothing.

    What is tied together by a claim or an evidence is one document, else a claim would be in both halves.
    """
    rows = _lines(folder / "fever_symmetric_dev" / "symmetric_v0.2__fever_symmetric_dev.jsonl")
    tied = _components([(f"c:{r['claim']}", f"e:{r['evidence']}") for r in rows])
    return halved(
        [
            Item(
                r["id"],
                document_key(group),
                None,
                (r["evidence"],),
                r["claim"],
                int(r["label"] == "SUPPORTS"),
            )
            for r, group in zip(rows, tied, strict=True)
        ]
    )


def halueval_qa(folder: Path) -> list[Item]:
    """HaluEval QA: of a question the right answer, and those a model was told to make up, with the knowledge."""
    found: dict[tuple[str, str, str], Item] = {}
    for source in ("one", "multi"):
        for i, r in enumerate(_lines(folder / "halueval_qa" / f"qa_{source}-turn_data.json")):
            document = document_key(r["knowledge"])
            for kind, label in (("right", 1), ("hallucinated", 0)):
                answer = r[f"{kind}_answer"]
                item = Item(f"{i}:{kind}:{source}", document, r["question"], (r["knowledge"],), answer, label)
                found.setdefault((document, r["question"], answer), item)
    return halved(list(found.values()))


def halueval_qa_matched(folder: Path) -> list[Item]:
    """HaluEval QA with equally many right and made-up answers of every length in words, in each half.

    Right answers there are short and made-up ones long; on these items length tells nothing.
    """
    items = halueval_qa(folder)
    return [item for half in HALVES for item in _length_matched([i for i in items if i.half == half])]


def _length_matched(items: Sequence[Item]) -> list[Item]:
    """Return as many items of each label at every length, those first in the order of their hash."""

    def order(item: Item) -> str:
        return document_key(f"{item.id} {item.claim}")

    lengths = [Counter(len(i.claim.split()) for i in items if i.label == label) for label in (0, 1)]
    left = {
        (words, label): min(lengths[0][words], lengths[1][words]) for words in lengths[0] for label in (0, 1)
    }
    kept = []
    for item in sorted(items, key=order):
        place = len(item.claim.split()), item.label
        if left.get(place, 0):
            left[place] -= 1
            kept.append(item)
    return kept


SETS: Mapping[str, Callable[[Path], list[Item]]] = {
    **{f"summedits_{d}": summedits(d) for d in ("podcast", "sales_call", "sales_email", "samsum")},
    "begin_cmu": begin("cmu-dog__begin_dev_cmu.tsv"),
    "begin_topicalchat": begin("topicalchat__begin_dev_tc.tsv"),
    "begin_wow": begin("wow__begin_dev_wow.tsv"),
    "q2": q2,
    "wice": wice,
    "wice_oracle": wice_oracle,
    "factcc": factcc,
    "fever_symmetric": fever_symmetric,
    "halueval_qa": halueval_qa,
    "halueval_qa_matched": halueval_qa_matched,
}


def _wice_articles(folder: Path) -> list[Any]:
    return _lines(folder / "wice_dev" / "data__entailment_retrieval__claim__dev.jsonl")


def _components(edges: Sequence[tuple[str, str]]) -> list[str]:
    """Return for each edge the least name among all that it is tied to, over any number of edges."""
    name = {node: node for edge in edges for node in edge}
    changed = True
    while changed:
        changed = False
        for a, b in edges:
            least = min(name[a], name[b])
            changed = changed or name[a] != least or name[b] != least
            name[a] = name[b] = least
    return [name[a] for a, _ in edges]


def _json(path: Path) -> Any:
    return json.loads(_text(path))


def _lines(path: Path) -> list[Any]:
    return list(_parsed(_text(path)))


def _parsed(text: str) -> Iterator[Any]:
    for line in text.split("\n"):  # not splitlines: texts hold U+2028 and the like
        if line.strip():
            yield json.loads(line)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise AbsentDataError(f"{path.parent.name}/{path.name} is not in the data folder") from error
