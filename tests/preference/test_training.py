from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from ragguard.errors import ConfigurationError, InvalidValueError, PreferenceSetError, ReaderMismatchError
from ragguard.preference.card import card_of, load_reranker
from ragguard.preference.recipe import Settings
from ragguard.preference.records import PreferenceExample
from ragguard.preference.simulated import SimulatedReader, preference_for, world
from ragguard.preference.training import TrainedReranker, train_reranker
from tests.preference.worlds import QUICK, example, tiny_base, tiny_cross_encoder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedReranker, Path]:
    output = tmp_path_factory.mktemp("run")
    reader = SimulatedReader("table", world(60), topics=("founded", "people"))
    settings = Settings(**{**QUICK.model_dump(), "weighting": "auto"})
    return train_reranker(reader.examples(), tiny_base(), output=output, settings=settings), output


def shuffled_labels(seed: int, questions: int = 40) -> list[PreferenceExample]:
    """Gains drawn by chance within every question: there is nothing to learn."""
    rng = np.random.default_rng(seed)
    rows = SimulatedReader("prose", world(questions, seed=seed)).examples()
    found = []
    for row in rows:
        gain = float(rng.choice([1.0, 0.0, 0.0, -1.0]))
        category = {1.0: "aligned", -1.0: "unaligned"}.get(gain, "both_wrong")
        found.append(row.model_copy(update={"gain": gain, "category": category}))
    return found


def test_the_result_is_json_and_has_every_figure(trained: tuple[TrainedReranker, Path]) -> None:
    result, output = trained
    told = json.loads((output / "result.json").read_text())
    assert told == json.loads(json.dumps(result.as_json()))
    figures = told["figures"]
    assert set(figures["validation"]) == {"equal", "mgda"}
    assert figures["weighting"]["taken"] == told["weighting"]
    assert set(figures["test"]) == {"retriever", "base", "trained"}
    assert {"mean", "lower", "upper", "p_value", "questions", "clusters"} <= set(
        figures["gain_over_base"]["ndcg"]
    )
    assert set(figures["splits"]["questions"]) == {"train", "validation", "test"}


def test_the_query_only_baseline_is_told_beside_the_rerankers(trained: tuple[TrainedReranker, Path]) -> None:
    """The reader knows whole topics, so the question alone tells labels, and no order."""
    shortcut = trained[0].figures["shortcut"]
    assert set(shortcut) == {"query_only", "base", "trained"}
    assert shortcut["query_only"]["global_auc"] > 0.8
    assert shortcut["query_only"]["within_auc"] == 0.5


def test_the_finding_is_said_and_the_folder_named_after_it(trained: tuple[TrainedReranker, Path]) -> None:
    result, output = trained
    assert result.promoted == (result.figures["gain_over_base"]["ndcg"]["lower"] > 0) or not result.promoted
    assert result.folder == output / ("model" if result.promoted else "kept-aside")
    assert result.sentence.startswith("Promoted" if result.promoted else "Kept aside")


def test_the_card_says_whose_preferences_from_what_and_what_was_found(
    trained: tuple[TrainedReranker, Path],
) -> None:
    result, _ = trained
    card = card_of(result.folder)
    assert card["reader"] == "simulated-table"
    assert card["promoted"] == result.promoted
    assert card["finding"] == result.sentence
    assert card["base"]["name"] == "random-bert"
    assert card["figures"]["gain_over_base"] == json.loads(json.dumps(result.figures["gain_over_base"]))
    with pytest.raises(ReaderMismatchError):
        load_reranker(result.folder, reader="simulated-prose")


def test_the_weights_written_are_those_of_the_best_checkpoint(trained: tuple[TrainedReranker, Path]) -> None:
    result, output = trained
    best = load_file(output / "runs" / result.weighting / "best.safetensors")
    written = load_file(result.folder / "model.safetensors")
    assert best
    assert all(np.array_equal(written[name], value) for name, value in best.items())


def test_a_second_call_gives_the_same_result_without_training(trained: tuple[TrainedReranker, Path]) -> None:
    result, output = trained
    steps: list[str] = []
    reader = SimulatedReader("table", world(60), topics=("founded", "people"))
    again = train_reranker(
        list(reversed(reader.examples())),
        tiny_base(),
        output=output,
        settings=Settings(**{**QUICK.model_dump(), "weighting": "auto"}),
        progress=lambda what, *_: steps.append(what),
    )
    assert again.as_json() == result.as_json()
    assert steps == []


def test_other_preferences_need_another_folder(trained: tuple[TrainedReranker, Path]) -> None:
    reader = SimulatedReader("prose", world(60))
    with pytest.raises(ConfigurationError, match="another output folder"):
        train_reranker(reader.examples(), tiny_base(), output=trained[1], settings=QUICK)


def test_a_cross_encoder_is_trained_and_carries_its_card(tmp_path: Path) -> None:
    base = tiny_cross_encoder(tmp_path / "ce")
    reader = SimulatedReader("table", world(30))
    settings = Settings(**{**QUICK.model_dump(), "epochs": 1})
    result = train_reranker(reader.examples(), base, output=tmp_path / "out", settings=settings)
    assert card_of(result.folder)["reader"] == reader.id
    scorer = load_reranker(result.folder, reader=reader.id)
    assert np.isfinite(scorer.score_pairs([("Where?", "Here."), ("Where?", "There.")])).all()


def test_readers_are_never_mixed(tmp_path: Path) -> None:
    facts = world(10)
    rows = SimulatedReader("prose", facts).examples() + SimulatedReader("table", facts).examples()
    with pytest.raises(InvalidValueError, match="2 readers"):
        train_reranker(rows, tiny_base(), output=tmp_path, settings=QUICK)


def test_preferences_without_any_order_are_refused(tmp_path: Path) -> None:
    rows = [example(f"word{i} other{i} third{i}", p) for i in range(30) for p in ("a", "b")]
    with pytest.raises(PreferenceSetError, match="helped or harmed"):
        train_reranker(rows, tiny_base(), output=tmp_path, settings=QUICK)


def test_passages_of_other_questions_are_reported_dropped_or_refused(tmp_path: Path) -> None:
    rows = SimulatedReader("table", world(40)).examples()
    strange = [
        example(
            "eagles",
            f"m{i}",
            query="When did the Eagles play the Superbowl?",
            passage=f"Pacemaker {i}.",
            reader="simulated-table",
            gain=-1.0 * (i == 0),
        )
        for i in range(3)
    ]
    settings = {**QUICK.model_dump(), "epochs": 1}
    with pytest.raises(PreferenceSetError, match="eagles"):
        train_reranker(
            rows + strange,
            tiny_base(),
            output=tmp_path / "a",
            settings=Settings(**{**settings, "foreign": "refuse"}),
        )
    for policy, questions in (("report", 41), ("drop", 40)):
        result = train_reranker(
            rows + strange,
            tiny_base(),
            output=tmp_path / policy,
            settings=Settings(**{**settings, "foreign": policy}),
        )
        assert result.figures["splits"]["foreign"] == ["eagles"]
        assert result.figures["questions"] == questions


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_random_labels_keep_the_base_in_at_least_19_of_20_seeds(tmp_path: Path) -> None:
    """Trained hard, with validation questions to be lucky on, and judged by the rule as it ships."""
    promoted = []
    for seed in range(20):
        settings = Settings(**{**QUICK.model_dump(), "seed": seed})
        result = train_reranker(
            shuffled_labels(seed), tiny_base(seed), output=tmp_path / str(seed), settings=settings
        )
        assert result.folder.name == ("model" if result.promoted else "kept-aside")
        promoted.append(result.promoted)
    assert sum(promoted) <= 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_readers_of_opposite_knowledge_give_opposite_rerankers(tmp_path: Path) -> None:
    """From the bundled head, and measured on towns that neither was trained on."""
    facts, unseen = world(120), world(60, seed=99)
    found = {}
    for form in ("prose", "table"):
        reader = SimulatedReader(form, facts)  # type: ignore[arg-type]
        settings = Settings(weighting="equal", epochs=2, max_tokens=96)
        result = train_reranker(reader.examples(), output=tmp_path / form, settings=settings)
        assert result.promoted or result.figures["test"]["base"]["ndcg"] > 0.9, result.sentence
        scorer = load_reranker(result.folder, reader=reader.id)
        found[form] = preference_for("prose", scorer, unseen)
    assert found["prose"] > 0.85
    assert found["table"] < 0.15
