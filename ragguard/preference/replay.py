"""Rated questions asked again without one passage at a time: what a thumb cannot say, a replay measures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ragguard.preference.asking import Budget, Progress, ask_all
from ragguard.preference.correct import Judge, judge_answer
from ragguard.preference.feedback import FeedbackRecord, ShownPassage
from ragguard.preference.feedback_rules import question_id
from ragguard.preference.probe import category_of
from ragguard.preference.probe_log import AnswerLog
from ragguard.preference.readers import Ask, Reader
from ragguard.preference.records import PreferenceExample, ProbeQuestion


def replay(
    records: Sequence[FeedbackRecord],
    reader: Reader,
    *,
    golds: Mapping[str, Sequence[str]] | None = None,
    judge: Judge | None = None,
    log: AnswerLog | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> list[PreferenceExample]:
    """Return what each passage did to the answer among the others shown with it.

    A passage without which a correct answer is lost helped; one without which a wrong
    answer becomes correct harmed; all others made no difference. Correct is what `golds`
    says, or else what agrees with an answer rated up. Only records of this very reader
    are replayed, and only questions of which an accepted answer is known.

    Args:
        records: rated or not.
        reader: that gave the answers.
        golds: question -> accepted answers.
        judge: decides whether an answer agrees; containment by default, for which
            accepted answers should be short. Sentences need an aligner.
        log: keeps the answers; an interrupted replay goes on.
        budget: what asking may cost; what it does not cover is left out.
        progress: told after every answer.

    Raises:
        GenerationError: the reader failed; what it had answered is in the log.
    """
    kept = log if log is not None else AnswerLog()
    decide = judge or judge_answer
    mine = [record for record in records if record.reader == reader.id]
    accepted = _accepted(mine, golds or {})
    replayed = [record for record in mine if accepted.get(question_id(record.question))]
    asks = [ask for record in replayed for ask in (_whole(record), *_without_each(record))]
    ask_all(reader, asks, log=kept, budget=budget, progress=progress)
    seen: dict[tuple[str, str], list[tuple[FeedbackRecord, ShownPassage, float, float]]] = defaultdict(list)
    for record in replayed:
        key = question_id(record.question)
        question = ProbeQuestion(id=key, text=record.question, answers=accepted[key])
        given = [kept.get(reader, ask) for ask in (_whole(record), *_without_each(record))]
        right = [None if answer is None else decide(answer, question) == "correct" for answer in given]
        for passage, without in zip(record.in_order, right[1:], strict=True):
            if right[0] is not None and without is not None:
                seen[key, passage.id].append((record, passage, float(without), float(right[0])))
    return [_example(reader, key, times) for (key, _), times in seen.items()]


def _example(
    reader: Reader, key: str, times: Sequence[tuple[FeedbackRecord, ShownPassage, float, float]]
) -> PreferenceExample:
    """What a passage did over all the lists it was shown in: conflicts average."""
    record, passage, _, _ = times[0]
    before, after = (float(np.mean([time[i] for time in times])) for i in (2, 3))
    return PreferenceExample(
        query_id=key,
        query=record.question,
        passage_id=passage.id,
        passage=passage.text,
        category=category_of(before, after),
        gain=after - before,
        n=len(times),
        reader=reader.id,
        rank=passage.position,
        cluster=record.cluster,
    )


def _accepted(
    records: Sequence[FeedbackRecord], golds: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for question, answers in golds.items():
        found[question_id(question)].extend(answers)
    told = set(found)
    for record in records:
        if record.rating == "up" and record.answer.strip() and question_id(record.question) not in told:
            found[question_id(record.question)].append(record.answer)
    return {key: tuple(dict.fromkeys(answers)) for key, answers in found.items()}


def _whole(record: FeedbackRecord) -> Ask:
    return Ask(record.question, tuple(passage.text for passage in record.in_order))


def _without_each(record: FeedbackRecord) -> list[Ask]:
    texts = [passage.text for passage in record.in_order]
    return [Ask(record.question, tuple(texts[:i] + texts[i + 1 :])) for i in range(len(texts))]
