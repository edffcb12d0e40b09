"""Examples made by rule from the passages of any corpus.

Every false claim is met by its mirror: the source that says what the claim says.
A model that looks at the claim alone, or at how natural it sounds, gains nothing;
it has to compare.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence

from ragguard.alignment.training.edits import Edit, Surroundings, edit
from ragguard.alignment.training.examples import ENTAILED, NEUTRAL, Example, graded
from ragguard.alignment.training.rewrites import chat, merge, reword, shorten
from ragguard.text.sentences import sentence_spans

_FEWEST_WORDS, _MOST_WORDS = 5, 45


def usable_sentences(passage: str) -> list[str]:
    """Return the sentences of a passage that state something: 5 to 45 words, starting like one."""
    found = []
    for start, end in sentence_spans(passage):
        text = " ".join(passage[start:end].split())
        words = len(text.split())
        if _FEWEST_WORDS <= words <= _MOST_WORDS and (text[0].isupper() or text[0].isdigit()):
            found.append(text)
    return found


def made_examples(
    passage: str,
    rng: random.Random,
    *,
    names: Sequence[str] = (),
    near: Callable[[str], Sequence[str]] | None = None,
    per_passage: int = 2,
) -> Iterator[Example]:
    """Yield examples from one passage, about four for each of `per_passage` of its sentences.

    Args:
        passage: prose of one sentence or more.
        rng: every choice is drawn from it.
        names: names of other passages, to put in place of this one's.
        near: words near a word in meaning, itself and its forms excluded.
        per_passage: sentences to use at most.
    """
    sentences = usable_sentences(passage)
    places = list(range(len(sentences)))
    rng.shuffle(places)
    around = Surroundings(passage, names, near)
    for place in places[:per_passage]:
        yield from _from_sentence(sentences, place, around, rng)


def _from_sentence(
    sentences: Sequence[str], place: int, around: Surroundings, rng: random.Random
) -> Iterator[Example]:
    first, last = _window(len(sentences), place, rng)
    context = [sentences[i] for i in range(first, last)]
    source = " ".join(context)
    fact = sentences[place]
    true = _true_claim(context, fact, rng)
    changed = edit(true, around, rng)
    yield graded(source, _voiced(true, rng), ENTAILED, origin="made: kept", similarity=1.0)
    if changed is not None:
        yield graded(source, _voiced(changed.text, rng), changed.label, origin=f"made: {changed.rule}")
        yield from _mirrored(context, fact, true, changed, rng)
    without = [s for s in context if s is not fact]
    if without and rng.random() < 0.6:
        short = " ".join(without)
        yield graded(short, _voiced(true, rng), NEUTRAL, origin="made: source dropped", similarity=0.0)
        if rng.random() < 0.25:
            both = [true, rng.choice(without)]
            rng.shuffle(both)
            yield graded(
                short, merge(both[0], both[1], rng), NEUTRAL, origin="made: half dropped", similarity=0.5
            )


def _window(count: int, place: int, rng: random.Random) -> tuple[int, int]:
    size = min(count, rng.choice([1, 2, 2, 3, 3, 4, 5, 6]))
    first = rng.randint(max(0, place - size + 1), min(place, count - size))
    return first, first + size


def _true_claim(context: Sequence[str], fact: str, rng: random.Random) -> str:
    claim = fact
    if rng.random() < 0.55:
        claim = shorten(claim, rng) or claim
        if rng.random() < 0.3:
            claim = shorten(claim, rng) or claim
    others = [s for s in context if s is not fact]
    if others and rng.random() < 0.15:
        claim = merge(claim, shorten(rng.choice(others), rng) or rng.choice(others), rng)
    return reword(claim, rng) if rng.random() < 0.5 else claim


def _mirrored(
    context: Sequence[str], fact: str, true: str, changed: Edit, rng: random.Random
) -> Iterator[Example]:
    """The source changed in the same way: now the changed claim is true, and the true one is not."""
    altered = fact
    for old, new in changed.exchanges:
        changed_fact = _exchanged(altered, old, new)
        if changed_fact is None:
            return
        altered = changed_fact
    if altered == fact:
        altered = changed.text  # the rule moved words about: the changed claim itself takes the place
    source = " ".join(altered if s is fact else s for s in context)
    if rng.random() < 0.5:
        yield graded(source, _voiced(changed.text, rng), ENTAILED, origin=f"made: {changed.rule}, mirrored")
    else:
        label = ENTAILED if altered == changed.text and changed.rule == "added detail" else changed.label
        yield graded(source, _voiced(true, rng), label, origin=f"made: {changed.rule}, mirrored")


def _exchanged(text: str, old: str, new: str) -> str | None:
    """The text with one wording for another; None unless it stands there once, as words of its own.

    Twice, and the claim was changed in one place only: the two would not say the same.
    """
    before, after = (r"(?<!\w)" if old[0].isalnum() else "", r"(?!\w)" if old[-1].isalnum() else "")
    found, times = re.subn(f"{before}{re.escape(old)}{after}", lambda _: new, text)
    return found if times == 1 else None


def _voiced(claim: str, rng: random.Random) -> str:
    if rng.random() < 0.5:
        claim = reword(claim, rng, share=0.4)
    draw = rng.random()
    if draw < 0.2:
        return chat(claim, rng)
    return claim.rstrip(".") if draw < 0.3 else claim
