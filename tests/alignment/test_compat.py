"""The published profile: the published loop's numbers, and outcomes where that loop has none."""

from __future__ import annotations

import json
import logging
import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.published_loop import PublishedLoop
from ragguard.alignment.compat import MODES, PublishedScore, PublishedScorer
from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.models.pair_parts import PairModel
from ragguard.models.pair_tokens import PairTokens
from ragguard.protocols import FloatArray
from tests.models.random_models import TEXTS, random_pair_model, roberta_tokenizer


class Direct:
    """Logits by the model itself, in padded batches of one size."""

    def __init__(self, model: PairModel, batch_size: int = 8) -> None:
        self.model, self.batch_size, self.tokens = model, batch_size, model.tokens

    @torch.inference_mode()
    def logits(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        encoded = self.tokens.encode(pairs)
        rows = []
        for start in range(0, len(encoded), self.batch_size):
            batch = encoded[start : start + self.batch_size]
            longest = max(len(one.ids) for one in batch)
            pad = self.tokens.pad_id
            ids = torch.tensor([[*one.ids, *[pad] * (longest - len(one.ids))] for one in batch])
            mask = torch.tensor([[1] * len(one.ids) + [0] * (longest - len(one.ids)) for one in batch])
            types = torch.tensor([[*one.types, *[0] * (longest - len(one.types))] for one in batch])
            rows.append(self.model.encoder(ids, mask, types if self.model.uses_segments else None))
        found: FloatArray = torch.cat(rows).numpy()
        return found


class KeyWords:
    """Logits written for a test: entailed and aligned when the claim's last word is in the source."""

    def __init__(self, max_tokens: int = 512) -> None:
        self.tokens = PairTokens(roberta_tokenizer(), max_tokens=max_tokens)
        self.asked: list[tuple[str, str]] = []

    def logits(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        self.asked += pairs
        rows = np.zeros((len(pairs), 6), dtype=np.float32)
        for row, (source, claim) in zip(rows, pairs, strict=True):
            found = claim.rstrip(".").split()[-1] in source
            row[:] = [7.5, 0.0, 5.0, 5.0, 0.0, 0.0] if found else [-2.0, 5.0, 0.0, 0.0, 5.0, 0.0]
        return rows


P_ALIGNED = 1 / (1 + math.exp(-5))
P_ENTAILED = 1 / (1 + 2 * math.exp(-5))
P_NEUTRAL_INSTEAD = 1 / (2 + math.exp(5))


def text(rng: random.Random, words: int) -> str:
    known = " ".join(TEXTS).split()
    return " ".join(rng.choice(known) for _ in range(words)) + "."


@pytest.fixture(scope="module")
def examples() -> tuple[list[str], list[str]]:
    rng = random.Random(3)
    contexts = [text(rng, 30), text(rng, 500), " ".join(text(rng, 20) for _ in range(30)), TEXTS[1]]
    claims = [text(rng, 8), f"{text(rng, 6)} {text(rng, 9)}", text(rng, 5), " ".join(TEXTS)]
    return contexts, claims


# The published loop


@pytest.mark.parametrize("mode", MODES)
def test_scores_are_those_of_the_published_loop(mode: str, examples: tuple[list[str], list[str]]) -> None:
    model = random_pair_model(max_tokens=192)
    ours = PublishedScorer(Direct(model), mode).score(*examples)
    published = PublishedLoop(model).score(*examples, mode=mode)
    assert ours == pytest.approx(published, abs=1e-4)
    assert len(set(published)) == 4


def test_a_bert_model_scores_as_in_the_published_loop_too(examples: tuple[list[str], list[str]]) -> None:
    model = random_pair_model(kind="bert", max_tokens=192)
    ours = PublishedScorer(Direct(model)).score(*examples)
    assert ours == pytest.approx(PublishedLoop(model).score(*examples), abs=1e-4)


def test_the_published_loop_pads_to_the_end_and_computes_a_head_that_it_drops() -> None:
    model = random_pair_model(max_tokens=192)
    loop = PublishedLoop(model)
    loop.score(["Ada founded Acme."], ["Ada founded Acme. Acme is in Oslo."])
    assert loop.dropped == 2 * 192 * model.encoder.base_model.config.vocab_size


def test_a_claim_too_long_for_the_model_changes_no_other_score_here_and_does_there() -> None:
    """One overlong sentence makes the published loop cut its whole batch differently."""
    model = random_pair_model(max_tokens=64)
    rng = random.Random(5)
    context, short, long = text(rng, 90), text(rng, 20), text(rng, 90)
    alone = PublishedScorer(Direct(model)).judge([context], [short])[0]
    both = PublishedScorer(Direct(model)).judge([context], [f"{short} {long}"])[0]
    assert both.sentences[0] == pytest.approx(alone.score, abs=1e-5)
    published = PublishedLoop(model).score([context], [f"{short} {long}"])[0]
    assert published != pytest.approx(both.score, abs=1e-4)
    one_by_one = PublishedLoop(model, batch_size=1).score([context], [f"{short} {long}"])[0]
    assert one_by_one == pytest.approx(both.score, abs=1e-4)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_a_score_depends_on_no_neighbour_and_order_is_kept(
    batch_size: int, examples: tuple[list[str], list[str]]
) -> None:
    scorer = PublishedScorer(Direct(random_pair_model(max_tokens=96), batch_size))
    contexts, claims = [*examples[0], TEXTS[0]], [*examples[1], "a " * 600]
    alone = [scorer.score([a], [b])[0] for a, b in zip(contexts, claims, strict=True)]
    order = [3, 0, 4, 2, 1]
    shuffled = scorer.score([contexts[i] for i in order], [claims[i] for i in order])
    assert shuffled == pytest.approx([alone[i] for i in order], abs=1e-5)


# Read-out and aggregation


@pytest.mark.parametrize(
    ("mode", "found", "lost"),
    [
        ("nli", P_ENTAILED, P_NEUTRAL_INSTEAD),
        ("bin", P_ALIGNED, 1 - P_ALIGNED),
        ("reg", 7.5, -2.0),
    ],
)
@pytest.mark.parametrize("split", ["", "_sp"])
def test_each_mode_reads_its_own_head(mode: str, found: float, lost: float, split: str) -> None:
    scores = PublishedScorer(KeyWords(), mode + split).score(
        ["Acme is in Oslo."] * 2, ["In Oslo.", "In Rome."]
    )
    assert scores == pytest.approx([found, lost], abs=1e-6)


def test_crafted_logits_of_a_real_model_are_read_from_the_right_columns() -> None:
    model = random_pair_model()
    for layer, values in (
        (model.encoder.tri_layer, [5.0, 0.0, 0.0]),
        (model.encoder.bin_layer, [0.0, 5.0]),
        (model.encoder.reg_layer, [1.75]),
    ):
        nn.init.zeros_(layer.weight)
        layer.bias = nn.Parameter(torch.tensor(values), requires_grad=False)
    scores = [
        PublishedScorer(Direct(model), mode).score(["Ada."], ["Acme."])[0] for mode in ("nli", "bin", "reg")
    ]
    assert scores == pytest.approx([P_ENTAILED, P_ALIGNED, 1.75], abs=1e-5)


def test_the_best_chunk_counts_for_each_sentence_and_the_mean_over_sentences() -> None:
    context = " ".join(["Filler" + " filler" * 199 + "."] * 2 + ["Acme is in Oslo" + " filler" * 199 + "."])
    engine = KeyWords(max_tokens=4096)
    one = PublishedScorer(engine).judge([context], ["It is in Oslo. It is in Rome. It is Acme."])[0]
    assert one.sentences == pytest.approx((P_ENTAILED, P_NEUTRAL_INSTEAD, P_ENTAILED), abs=1e-6)
    assert one.score == pytest.approx(np.mean(one.sentences))
    chunks = [source.split()[0] for source, _ in engine.asked]
    assert chunks == ["Filler"] * 6 + ["Acme"] * 3  # every sentence of the claim, chunk by chunk
    assert [claim for _, claim in engine.asked[:3]] == ["It is in Oslo.", "It is in Rome.", "It is Acme."]


def test_one_lie_in_ten_still_scores_nine_tenths() -> None:
    facts = [f"Fact number {i} is word{i}." for i in range(9)]
    claim = " ".join([*facts, "The bridge opened in 1987."])
    score = PublishedScorer(KeyWords()).score([" ".join([*facts, "The bridge opened in 1978."])], [claim])[0]
    assert score is not None
    assert score > 0.88


def test_an_unsplit_pair_goes_through_as_it_is() -> None:
    engine = KeyWords()
    PublishedScorer(engine, "nli").score(["One.\n\nTwo."], [" Three. Four. "])
    assert engine.asked == [("One.\n\nTwo.", " Three. Four. ")]


def test_another_splitter_may_be_given_and_is_told_in_the_fingerprint() -> None:
    engine = KeyWords()

    def lines(text: str) -> list[str]:
        return text.splitlines()

    scorer = PublishedScorer(engine, sentences=lines)
    scorer.score(["One two\nthree"], ["four\nfive"])
    assert engine.asked == [("One two three", "four"), ("One two three", "five")]
    prints = [
        scorer.fingerprint(),
        PublishedScorer(engine).fingerprint(),
        PublishedScorer(engine, "reg").fingerprint(),
    ]
    assert len({json.dumps(one, sort_keys=True) for one in prints}) == 3
    assert prints[0]["splitter"] == "lines"


# What the model could not see


def test_a_tail_that_is_cut_is_counted_and_warned_of_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tail = "secret" + " a" * 19
    context = "a " * 1980 + tail
    with caplog.at_level(logging.WARNING):
        one = PublishedScorer(Direct(random_pair_model())).judge([context], ["The tail says secret."])[0]
    model = random_pair_model()
    fits = 128 - 4 - model.tokens.counts(["The tail says secret."])[0]
    assert (one.outcome, one.cut_pairs) == ("scored", 1)
    assert one.cut_tokens == model.tokens.counts([context])[0] - fits
    assert f"{one.cut_tokens} tokens cut" in caplog.text
    assert "secret" not in caplog.text


def test_nothing_cut_is_nothing_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        one = PublishedScorer(KeyWords()).judge(["Acme is in Oslo."], ["Acme."])[0]
    assert (one.cut_pairs, one.cut_tokens, caplog.text) == (0, 0, "")


@pytest.mark.parametrize("mode", MODES)
def test_the_count_is_that_of_the_tokenizer(mode: str, examples: tuple[list[str], list[str]]) -> None:
    model = random_pair_model(max_tokens=64)

    class Watched(Direct):
        def logits(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
            self.cut = sum(one.cut for one in self.tokens.encode(pairs))
            return super().logits(pairs)

    engine = Watched(model)
    judged = PublishedScorer(engine, mode).judge(*examples)
    assert sum(one.cut_tokens for one in judged) == engine.cut > 0


# Nothing to score


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("empty", ["", "  \n", "…", "...", "\t- – —"])
def test_an_empty_claim_has_nothing_to_check_and_an_empty_context_verifies_nothing(
    mode: str, empty: str
) -> None:
    engine = KeyWords()
    judged = PublishedScorer(engine, mode).judge(["Oslo.", empty, empty], [empty, "Oslo.", empty])
    assert judged == [
        PublishedScore(score=None, outcome="nothing_to_check"),
        PublishedScore(score=None, outcome="unverifiable"),
        PublishedScore(score=None, outcome="nothing_to_check"),
    ]
    assert engine.asked == []


def test_an_empty_one_among_others_moves_none_of_them() -> None:
    scores = PublishedScorer(KeyWords()).score(["Oslo", "", "Oslo", "Oslo"], ["Oslo", "Oslo", " ", "Rome"])
    assert scores == [pytest.approx(P_ENTAILED), None, None, pytest.approx(P_NEUTRAL_INSTEAD)]


def test_no_examples_have_no_scores() -> None:
    assert PublishedScorer(KeyWords()).score([], []) == []


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 contexts and 1 claims"):
        PublishedScorer(KeyWords()).score(["a", "b"], ["c"])


@pytest.mark.parametrize("arguments", [("a", ["b"]), (["a"], "b"), ([None], ["a"]), (["a"], [3])])
def test_what_is_no_list_of_strings_is_refused(arguments: tuple[list[str], list[str]]) -> None:
    with pytest.raises(InvalidValueError):
        PublishedScorer(KeyWords()).score(*arguments)


@pytest.mark.parametrize("mode", ["", "nli_spp", "NLI", "smart_l", "_sp"])
def test_an_unknown_mode_is_refused_at_construction(mode: str) -> None:
    with pytest.raises(ValueError, match="unknown mode") as caught:
        PublishedScorer(KeyWords(), mode)
    assert isinstance(caught.value, ConfigurationError)
    assert "nli_sp" in str(caught.value)
