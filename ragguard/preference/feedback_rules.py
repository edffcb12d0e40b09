"""From what users said to what may be learnt from it: weak labels, by rules with a version.

1. A passage that an answer cites, rated up, is weak evidence that it helped; rated
   down, that it harmed. Weight `WEAK`.
2. A passage that is not cited has no label, whatever the rating: nobody said anything
   about it. It is no negative.
3. One question answered from different passages and rated oppositely makes pairs: a
   passage that only the liked answer had, above one that only the disliked had. Of an
   answer that cites, the cited ones; of one that cites nothing, all, sharing the weight.
4. Evidence that conflicts is averaged; none has the last word. What averages to
   nothing is left out.
5. A rater whose ratings and cited positions never vary says nothing about passages,
   and teaches nothing.
6. Readers are never mixed.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from ragguard.errors import UnknownNameError
from ragguard.preference.feedback import FeedbackRecord, ShownPassage
from ragguard.preference.propensity import DEFAULT_CLIP, inverse_weights
from ragguard.preference.records import PreferenceExample

VERSION = 1
WEAK = 0.3
"""Weight of a label that comes from a thumb, where a probed one has 1."""
HALF = 0.5
"""Gain of a passage that only a pair speaks of: up for the winner, down for the loser."""
FEWEST = 3
"""Records of a rater from which a pattern without variation is taken for one."""

Weighting: TypeAlias = Literal["labels", "ips"]
_SIGNS: Mapping[str | None, int] = {"up": 1, "down": -1}


@dataclass(frozen=True, slots=True)
class FeedbackPair:
    """Two passages of one question, of which the first belonged to the answer that was liked."""

    question: str
    winner: str
    loser: str
    reader: str
    weight: float = WEAK


@dataclass(frozen=True)
class Converted:
    """What a log teaches.

    Attributes:
        examples: one a reader, question and passage; passages of pairs are among them.
        pairs: from opposite ratings.
        left_out: records or shown passages that teach nothing, by cause.
    """

    examples: list[PreferenceExample]
    pairs: list[FeedbackPair]
    left_out: Mapping[str, int] = field(default_factory=dict)


def convert(
    records: Sequence[FeedbackRecord], *, weighting: Weighting = "labels", clip: float = DEFAULT_CLIP
) -> Converted:
    """Return the examples and pairs that the rules make of rated answers.

    Args:
        records: of any readers; what one said stays its own.
        weighting: "labels" averages the signs of the citations; "ips" divides each by the
            logged propensity of its position and counts every showing, so that gains are
            rates that no longer depend on where passages stood.
        clip: the largest weight of one citation under "ips".

    Raises:
        MissingPropensityError: "ips", and some shown passage has no propensity logged.
        InvalidValueError: the clip is below 1.
        UnknownNameError: there is no such weighting.
    """
    if weighting not in ("labels", "ips"):
        raise UnknownNameError(f"no weighting named {weighting!r}", hint="labels or ips")
    idle = position_only(records)
    left: Counter[str] = Counter()
    used = []
    for record in records:
        if record.rating is None:
            left["unrated"] += 1
        elif record.rater in idle:
            left["rater_without_variation"] += 1
        else:
            used.append(record)
    weights = inverse_weights(used, clip=clip) if weighting == "ips" else {}
    examples = []
    for shown in _by_passage(used).values():
        cited = [(record, passage) for record, passage in shown if passage.id in record.cited]
        left["uncited"] += len(shown) - len(cited)
        if not cited:
            continue
        total = sum(_SIGNS[r.rating] * weights.get((r.id, p.id), 1.0) for r, p in cited)
        gain = total / (len(shown) if weighting == "ips" else len(cited))
        if gain == 0.0:
            left["contradictory"] += len(cited)
            continue
        examples.append(_example(cited, gain))
    pairs = pairs_of(used)
    return Converted([*examples, *_of_pairs(pairs, used, examples)], pairs, dict(left))


def pairs_of(records: Sequence[FeedbackRecord]) -> list[FeedbackPair]:
    """Return what opposite ratings of one question with different passages say, each pair once."""
    by_question: dict[tuple[str, str], list[FeedbackRecord]] = defaultdict(list)
    for record in records:
        by_question[record.reader, _key(record.question)].append(record)
    found: dict[FeedbackPair, FeedbackPair] = {}
    for same in by_question.values():
        for liked in (r for r in same if r.rating == "up"):
            for other in (r for r in same if r.rating == "down"):
                winners, losers = _only_in(liked, other), _only_in(other, liked)
                shared = WEAK / max(1, len(winners) * len(losers))
                weight = WEAK if liked.cited and other.cited else shared
                for winner in winners:
                    for loser in losers:
                        pair = FeedbackPair(liked.question, winner, loser, liked.reader, weight)
                        found.setdefault(replace(pair, weight=WEAK), pair)
    return list(found.values())


def position_only(records: Iterable[FeedbackRecord]) -> set[str | None]:
    """Return the raters whose rating and cited positions were the same every time, over `FEWEST` records or more.

    Records without a rater count as one rater's.
    """
    patterns: dict[str | None, list[tuple[str | None, tuple[int, ...]]]] = defaultdict(list)
    for record in records:
        if record.rating is not None:
            cited = tuple(p.position for p in record.in_order if p.id in record.cited)
            patterns[record.rater].append((record.rating, cited))
    return {rater for rater, seen in patterns.items() if len(seen) >= FEWEST and len(set(seen)) == 1}


def question_id(question: str) -> str:
    """Return the id that records of equal questions share; case and spacing do not count."""
    return "feedback-" + hashlib.sha256(_key(question).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _only_in(mine: FeedbackRecord, other: FeedbackRecord) -> list[str]:
    """What one answer rests on and the other did not have: its citations, or all where it cites nothing."""
    had = {p.id for p in other.passages}
    return [p.id for p in mine.in_order if p.id not in had and (p.id in mine.cited or not mine.cited)]


def _of_pairs(
    pairs: Sequence[FeedbackPair],
    records: Sequence[FeedbackRecord],
    known: Sequence[PreferenceExample],
) -> list[PreferenceExample]:
    """The passages of pairs that no citation speaks of; one that wins here and loses there is left out."""
    done = {(e.reader, e.query_id, e.passage_id) for e in known}
    texts = {(r.reader, question_id(r.question), p.id): (r, p) for r in records for p in r.passages}
    votes: dict[tuple[str, str, str], list[tuple[int, float]]] = defaultdict(list)
    for pair in pairs:
        for passage_id, sign in ((pair.winner, 1), (pair.loser, -1)):
            votes[pair.reader, question_id(pair.question), passage_id].append((sign, pair.weight))
    found = []
    for key, said in votes.items():
        sign = sum(one for one, _ in said)
        if key not in done and sign != 0:
            example = _example([texts[key]], HALF if sign > 0 else -HALF)
            found.append(example.model_copy(update={"weight": max(weight for _, weight in said)}))
    return found


def _by_passage(
    records: Sequence[FeedbackRecord],
) -> dict[tuple[str, str, str], list[tuple[FeedbackRecord, ShownPassage]]]:
    found: dict[tuple[str, str, str], list[tuple[FeedbackRecord, ShownPassage]]] = defaultdict(list)
    for record in records:
        for passage in record.passages:
            found[record.reader, _key(record.question), passage.id].append((record, passage))
    return found


def _example(cited: Sequence[tuple[FeedbackRecord, ShownPassage]], gain: float) -> PreferenceExample:
    record, passage = cited[0]
    return PreferenceExample(
        query_id=question_id(record.question),
        query=record.question,
        passage_id=passage.id,
        passage=passage.text,
        category="aligned" if gain > 0 else "unaligned",
        gain=max(-1.0, min(1.0, gain)),
        n=len(cited),
        reader=record.reader,
        cluster=next((r.cluster for r, _ in cited if r.cluster is not None), None),
        weight=WEAK,
    )


def _key(question: str) -> str:
    return " ".join(question.lower().split())
