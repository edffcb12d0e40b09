"""What fine-tuning a reader needs, as chat lines: judging passages first, then answering from them.

ragguard aligns the retriever's side; whoever can train the reader itself takes
these files to a trainer. Each line is `{"messages": [...]}` with the roles
user and assistant in turn, which TRL's SFTTrainer reads as it is, and
LLaMA-Factory with `llama_factory_entry`.

References:
    Dong, Zhu, Zhang, Wang, Wen and Dou (2025): a stage that judges passages before
    the stage that answers. The wording of the prompts is ours.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ragguard.errors import DataError, InvalidValueError
from ragguard.preference.records import PreferenceExample, ProbeQuestion, of_one_reader, write_lines
from ragguard.protocols import PairScorer

Chat: TypeAlias = dict[str, list[dict[str, str]]]

_JUDGE = (
    "{passages}\n\nQuestion: {question}\n\nWould passage {number} help you to answer this question "
    "correctly (positive), or would it lead you astray (negative)? Reply with one word."
)
_ANSWER = "{passages}\n\nQuestion: {question}\n\nAnswer briefly, from the passages or from what you know."
_VERDICTS = {"aligned": "positive", "unaligned": "negative"}


def pre_alignment_set(
    examples: Sequence[PreferenceExample],
    *,
    rng: random.Random,
    k: int = 3,
    reader: str | None = None,
    split: str | None = None,
) -> list[Chat]:
    """Return one chat a labelled example: its passage among k - 1 others, shuffled, and the verdict.

    The others come from questions of other clusters, so that none of them is likely
    to answer the question too. Neutral examples have no verdict and give no chat.

    Args:
        examples: of one reader.
        rng: draws the others and shuffles.
        k: passages shown, at least 1.
        reader: whose, where there are several.
        split: examples and others are taken from this split alone; None takes all.

    Raises:
        InvalidValueError: `k` is below 1, or several readers are mixed.
        DataError: there are fewer than k - 1 passages of other clusters.
    """
    if k < 1:
        raise InvalidValueError(f"k must be at least 1, got {k}")
    chosen = [e for e in of_one_reader(examples, reader) if split is None or e.split == split]
    found = []
    for example in chosen:
        if example.category in _VERDICTS:
            shown = [example.passage, *_others(example, chosen, k - 1, rng)]
            order = rng.sample(range(k), k)
            number = order.index(0) + 1
            text = _JUDGE.format(
                passages=_numbered([shown[place] for place in order]), question=example.query, number=number
            )
            found.append(_chat(text, _VERDICTS[example.category]))
    return found


def sft_set(
    questions: Sequence[ProbeQuestion],
    orders: Mapping[str, Sequence[str]],
    *,
    k: int = 3,
    split: str | None = None,
) -> list[Chat]:
    """Return one chat a question: its best k passages in the aligned order, and the gold answer.

    Args:
        questions: with answers; those without passages in `orders` give no chat.
        orders: by question id, passage texts, best first; see `aligned_orders`.
        k: passages shown, at least 1.
        split: questions of this split alone; None takes all.

    Raises:
        InvalidValueError: `k` is below 1.
    """
    if k < 1:
        raise InvalidValueError(f"k must be at least 1, got {k}")
    return [
        _chat(_ANSWER.format(passages=_numbered(orders[q.id][:k]), question=q.text), q.answers[0])
        for q in questions
        if q.id in orders and orders[q.id] and (split is None or q.split == split)
    ]


def aligned_orders(
    examples: Sequence[PreferenceExample], *, scorer: PairScorer | None = None, reader: str | None = None
) -> dict[str, list[str]]:
    """Return, by question id, the texts of its passages in the aligned order.

    Args:
        examples: of one reader.
        scorer: a reranker; None orders by measured gain, equal ones by the retriever's rank.
        reader: whose, where there are several.
    """
    groups: dict[str, list[PreferenceExample]] = {}
    for example in of_one_reader(examples, reader):
        groups.setdefault(example.query_id, []).append(example)
    return {name: [e.passage for e in _ordered(group, scorer)] for name, group in groups.items()}


def write_chats(path: str | Path, chats: Sequence[Chat]) -> int:
    """Write one chat a line and return their number."""
    return write_lines(path, (json.dumps(chat, ensure_ascii=False) for chat in chats))


def llama_factory_entry(file_name: str) -> dict[str, Any]:
    """Return the entry of LLaMA-Factory's `dataset_info.json` for such a file."""
    return {
        "file_name": file_name,
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }


def _others(
    example: PreferenceExample, chosen: Sequence[PreferenceExample], count: int, rng: random.Random
) -> list[str]:
    mine = example.cluster or example.query_id
    texts = sorted({e.passage for e in chosen if (e.cluster or e.query_id) != mine} - {example.passage})
    if len(texts) < count:
        raise DataError(
            f"only {len(texts)} passages of other clusters are there, {count} are needed",
            hint="probe more questions, or lower k",
        )
    return rng.sample(texts, count)


def _ordered(group: Sequence[PreferenceExample], scorer: PairScorer | None) -> Iterator[PreferenceExample]:
    ranked = sorted(group, key=lambda e: (e.rank is None, e.rank or 0, e.passage_id))
    if scorer is None:
        yield from sorted(ranked, key=lambda e: -e.gain)
        return
    scores = scorer.score_pairs([(e.query, e.passage) for e in ranked])
    # Sorting is stable: equal scores, and NaN as the worst, stay in the retriever's order.
    keys = [-float(s) if s == s else float("inf") for s in scores]
    yield from (ranked[place] for place in sorted(range(len(ranked)), key=keys.__getitem__))


def _numbered(passages: Sequence[str]) -> str:
    return "\n".join(f"Passage {number}: {' '.join(text.split())}" for number, text in enumerate(passages, 1))


def _chat(user: str, assistant: str) -> Chat:
    return {"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]}
