"""Items and files of the consistency sets in miniature, for tests of their benchmark."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.consistency_sets import Item


def item(claim: str, source: str = "The red pump weighs 4 kg.", label: int = 1, **changed: Any) -> Item:
    return Item(
        **{"id": claim, "document": "d", "question": None, "passages": (source,)} | changed,
        claim=claim,
        label=label,
    )


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def lines(rows: Sequence[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def parity(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2


def texts(start: str, even: int, odd: int, end: str = "") -> list[str]:
    """So many texts with an even hash, and so many with an odd one after them."""
    found = [f"{start}{n}{end}" for n in range(99)]
    return [t for t in found if not parity(t)][:even] + [t for t in found if parity(t)][:odd]


def facts(folder: Path) -> None:
    """SummEdits sales calls in miniature: four documents a half, of each a right and a wrong claim."""
    rows = [
        {"id": "x", "doc": doc, "summary": s, "label": label}
        for doc in texts("Pumps weigh ", 4, 4, " kg.")
        for s, label in ((doc, 1), ("Its price doubled.", 0))
    ]
    write(folder / "consistency/summedits/summedits_sales_call.json", rows)


def halueval(folder: Path) -> None:
    def rows(made_up: str) -> str:
        return lines(
            [
                {
                    "knowledge": f"Town {n} has a mill.\u2028It is old.",
                    "question": f"What has town {n}?",
                    "right_answer": "a mill" if n % 2 else "an old mill",
                    "hallucinated_answer": made_up if n % 3 else "a new bridge",
                }
                for n in range(12)
            ]
        )

    write(folder / "halueval_qa/qa_one-turn_data.json", rows("a bridge"))
    write(folder / "halueval_qa/qa_multi-turn_data.json", rows("it has a bridge over the river"))
