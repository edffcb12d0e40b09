"""Models as folders: ours checked whole, plain ones only where their outputs are the three heads."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from ragguard.errors import ConfigurationError, InvalidValueError, RagGuardError, UnreadableFileError
from ragguard.models import pair_model
from ragguard.models.pair_classifier import six_output_classifier
from ragguard.models.pair_logits import LOGIT_NAMES
from ragguard.models.pair_model import PairModel, load_pair_model, save_pair_model
from tests.models.random_models import bert_tokenizer, logits_of, random_pair_model

PAIRS = [
    ("The bridge opened in 1978.", "The bridge opened in 1987."),
    ("Ada founded Acme. " * 9, "Rex bought Dino."),
]
KINDS = ("roberta", "bert")


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest) -> PairModel:
    return random_pair_model(kind=request.param)


def saved(model: PairModel, folder: Path, **settings: Any) -> Path:
    given = {
        "tokenizer": model.tokens.definition,
        "max_tokens": model.tokens.max_tokens,
        "card": {},
        **settings,
    }
    return save_pair_model(folder, model.encoder, **given)


def test_what_is_saved_loads_and_scores_the_same(model: PairModel, tmp_path: Path) -> None:
    card = {"balanced_accuracy": 0.75, "trained_on": ["a", "b"]}
    loaded = load_pair_model(saved(model, tmp_path / "m", card=card, max_tokens=64))
    torch.testing.assert_close(logits_of(loaded, PAIRS[:1]), logits_of(model, PAIRS[:1]), atol=0, rtol=0)
    assert (loaded.name, dict(loaded.card), loaded.tokens.max_tokens) == ("m", card, 64)
    assert loaded.uses_segments == model.uses_segments


def test_the_fingerprint_is_json_and_tells_weights_tokenizers_and_limits_apart(tmp_path: Path) -> None:
    one, other = random_pair_model(), random_pair_model(seed=1)
    prints = [
        load_pair_model(saved(m, tmp_path / str(i), max_tokens=limit, name="x")).fingerprint()
        for i, (m, limit) in enumerate([(one, 128), (other, 128), (one, 64)])
    ]
    assert json.loads(json.dumps(prints)) == prints
    assert prints[0]["weights_sha256"] == prints[2]["weights_sha256"] != prints[1]["weights_sha256"]
    assert prints[0] != prints[2]


def test_int8_takes_a_quarter_and_moves_the_logits_little(model: PairModel, tmp_path: Path) -> None:
    whole, small = (saved(model, tmp_path / kind, storage=kind) for kind in ("float32", "int8"))
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (whole, small)]
    assert sizes[1] < 0.32 * sizes[0]
    exact, near = logits_of(load_pair_model(whole), PAIRS), logits_of(load_pair_model(small), PAIRS)
    assert 0 < float((exact - near).abs().max()) < 0.3 * float(exact.std())


def test_int8_rounds_each_row_by_its_own_largest_weight(tmp_path: Path) -> None:
    model = random_pair_model()
    with torch.no_grad():
        table = model.encoder.base_model.embeddings.word_embeddings.weight
        table[7] *= 1000.0
        table[8] = 0.0
    found = load_pair_model(saved(model, tmp_path / "m", storage="int8")).encoder.state_dict()
    for name, tensor in model.encoder.state_dict().items():
        error = (found[name] - tensor).abs()
        if tensor.ndim == 2 and name.startswith("base_model."):
            step = tensor.abs().amax(dim=1, keepdim=True) / 127
            assert bool((error <= step / 2 * 1.001).all()), name
        else:
            assert float(error.max()) == 0.0, name  # heads, biases and norms are kept as they are


def test_an_unknown_storage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="int4"):
        saved(random_pair_model(), tmp_path / "m", storage="int4")
    assert list(tmp_path.iterdir()) == []


def test_a_card_that_is_not_json_is_refused(tmp_path: Path) -> None:
    for card in ({"x": object()}, {"x": float("nan")}):
        with pytest.raises(InvalidValueError, match="card"):
            saved(random_pair_model(), tmp_path / "m", card=card)
    assert list(tmp_path.iterdir()) == []


def test_saving_over_a_model_replaces_it(tmp_path: Path) -> None:
    saved(random_pair_model(seed=1), tmp_path / "m")
    model = random_pair_model(seed=2)
    saved(model, tmp_path / "m")
    assert torch.equal(logits_of(load_pair_model(tmp_path / "m"), PAIRS), logits_of(model, PAIRS))
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_whoever_may_read_one_file_of_a_model_may_read_all(tmp_path: Path) -> None:
    folder = saved(random_pair_model(), tmp_path / "m")
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


def test_importing_the_loaders_loads_no_framework() -> None:
    heavy = "{'torch', 'transformers', 'safetensors'} & set(sys.modules)"
    source = f"import sys, ragguard.models.pair_model, ragguard.alignment.compat; print({heavy})"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("limit", [0, -1, 4, 129, 10**9])
def test_a_token_limit_beyond_the_positions_or_below_a_pair_is_refused(limit: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=str(limit)):
        saved(random_pair_model(), tmp_path / "m", max_tokens=limit)


def test_another_models_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="tokenizer pads"):
        saved(random_pair_model(), tmp_path / "m", tokenizer=bert_tokenizer())


def test_a_tokenizer_with_more_words_than_the_encoder_embeds_is_refused(tmp_path: Path) -> None:
    model = random_pair_model()
    definition = json.loads(model.tokens.definition)
    definition["added_tokens"].append({**definition["added_tokens"][0], "id": 5000, "content": "<extra>"})
    definition["model"]["vocab"]["<extra>"] = 5000
    with pytest.raises(ConfigurationError, match="ids up to 5000"):
        saved(model, tmp_path / "m", tokenizer=json.dumps(definition))


def test_a_tokenizer_that_runs_both_texts_together_is_refused(tmp_path: Path) -> None:
    model = random_pair_model()
    definition = {**json.loads(model.tokens.definition), "post_processor": None}
    with pytest.raises(ConfigurationError, match="does not mark"):
        saved(model, tmp_path / "m", tokenizer=json.dumps(definition))


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("how", ["altered", "truncated", "removed"])
def test_a_folder_of_ours_is_refused_when_any_file_of_it_changed(file: str, how: str, tmp_path: Path) -> None:
    path = saved(random_pair_model(), tmp_path / "m") / file
    content = bytearray(path.read_bytes())
    if how == "removed":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content if how == "altered" else content[: len(content) // 2])
    with pytest.raises(UnreadableFileError, match=file):
        load_pair_model(tmp_path / "m")


def edited(folder: Path, change: Callable[[dict[str, Any]], object], file: str = "ragguard.json") -> Path:
    value = json.loads((folder / file).read_text(encoding="utf-8"))
    change(value)
    (folder / file).write_text(json.dumps(value), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(schema_version=2),
        lambda m: m.update(logits=["not_aligned", "aligned"]),
        lambda m: m.update(max_tokens="128"),
        lambda m: m.update(max_tokens=10**6),
        lambda m: m.pop("sha256"),
        lambda m: m.update(sha256={}),
        lambda m: m.update(sha256={"model.safetensors": None}),
        lambda m: m.clear(),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(
    change: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    folder = saved(random_pair_model(), tmp_path / "m")
    with pytest.raises((UnreadableFileError, InvalidValueError)):
        load_pair_model(edited(folder, change))


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(random_pair_model(layers=1), tmp_path_factory.mktemp("plain") / "m")


@given(content=st.binary(max_size=120) | st.text(alphabet='{}[]",:0a', max_size=40).map(str.encode))
@settings(max_examples=50)
@pytest.mark.parametrize("file", ["ragguard.json", "config.json", "model.safetensors"])
def test_no_bytes_in_a_file_make_it_fail_otherwise(file: str, content: bytes, plain_folder: Path) -> None:
    path = plain_folder / file
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    try:
        with pytest.raises(RagGuardError):
            load_pair_model(plain_folder)
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    folder = exported(random_pair_model(), tmp_path / "m")
    (folder / "config.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=r"config\.json"):
        load_pair_model(folder)


# Plain transformers folders


def exported(model: PairModel, folder: Path, **changed: Any) -> Path:
    """A folder of a transformers sequence classifier with six outputs in our order."""
    folder.mkdir(parents=True)
    kind = str(model.encoder.base_model.config.model_type)
    config = {**model.encoder.base_model.config.to_dict(), **our_labels(), **changed}
    config.pop("label2id", None)
    names = {"roberta": "RobertaForSequenceClassification", "bert": "BertForSequenceClassification"}
    config["architectures"] = [names[kind]]
    state = {
        n: t.contiguous() for n, t in six_output_classifier(model.encoder.state_dict(), backbone=kind).items()
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.json").write_text(model.tokens.definition, encoding="utf-8")
    return folder


def our_labels() -> dict[str, Any]:
    return {"id2label": {str(i): name for i, name in enumerate(LOGIT_NAMES)}}


def unnamed_labels() -> dict[str, Any]:
    return {"id2label": {str(i): f"LABEL_{i}" for i in range(6)}}


@pytest.mark.parametrize("labels", [our_labels, unnamed_labels])
def test_a_classifier_of_six_outputs_is_the_model_with_three_heads(
    labels: Callable[[], dict[str, Any]], model: PairModel, tmp_path: Path
) -> None:
    loaded = load_pair_model(exported(model, tmp_path / "m", **labels()))
    torch.testing.assert_close(logits_of(loaded, PAIRS), logits_of(model, PAIRS), atol=0, rtol=0)
    assert loaded.tokens.max_tokens == 128


def test_transformers_own_classifier_of_six_outputs_gives_the_same_numbers(
    model: PairModel, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    folder = exported(model, tmp_path / "m")
    classifier = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
    for pair in PAIRS:
        one = model.tokens.encode([pair])[0]
        ids = torch.tensor([one.ids])
        types = {"token_type_ids": torch.tensor([one.types])} if model.uses_segments else {}
        with torch.inference_mode():
            theirs = classifier(input_ids=ids, attention_mask=torch.ones_like(ids), **types).logits
        torch.testing.assert_close(theirs, logits_of(model, [pair]), atol=1e-4, rtol=0)


def test_six_outputs_that_mean_something_else_are_refused(tmp_path: Path) -> None:
    joys = dict(enumerate(("joy", "anger", "fear", "love", "sadness", "surprise")))
    folder = exported(
        random_pair_model(), tmp_path / "m", id2label={str(i): name for i, name in joys.items()}
    )
    with pytest.raises(ConfigurationError, match="labelled as something else"):
        load_pair_model(folder)


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_an_nli_classifier_without_the_three_heads_is_refused(outputs: int, tmp_path: Path) -> None:
    folder = exported(random_pair_model(), tmp_path / "roberta-alignscore-nli")
    state = load_file(folder / "model.safetensors")
    for part in ("weight", "bias"):
        state[f"classifier.out_proj.{part}"] = state[f"classifier.out_proj.{part}"][:outputs].clone()
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ConfigurationError, match=f"has {outputs} outputs, an alignment model has 6"):
        load_pair_model(folder)


def test_a_bare_encoder_is_refused(tmp_path: Path) -> None:
    folder = exported(random_pair_model(), tmp_path / "m")
    state = {n: t for n, t in load_file(folder / "model.safetensors").items() if "classifier" not in n}
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ConfigurationError, match="has 0 outputs"):
        load_pair_model(folder)


def test_a_folder_with_the_three_heads_by_name_needs_no_manifest(model: PairModel, tmp_path: Path) -> None:
    folder = saved(model, tmp_path / "m")
    (folder / "ragguard.json").unlink()
    torch.testing.assert_close(
        logits_of(load_pair_model(folder), PAIRS), logits_of(model, PAIRS), atol=0, rtol=0
    )


def test_one_missing_head_of_three_is_named(tmp_path: Path) -> None:
    folder = saved(random_pair_model(), tmp_path / "m")
    (folder / "ragguard.json").unlink()
    state = {n: t for n, t in load_file(folder / "model.safetensors").items() if not n.startswith("reg_")}
    save_file(state, folder / "model.safetensors")
    with pytest.raises(UnreadableFileError, match=r"lacks reg_layer\.bias, reg_layer\.weight"):
        load_pair_model(folder)


def test_a_pooler_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = exported(random_pair_model(), tmp_path / "m")
    state = {
        n: t for n, t in load_file(folder / "model.safetensors").items() if "dense" not in n or "layer" in n
    }
    save_file(state, folder / "model.safetensors")
    with pytest.raises(UnreadableFileError, match="pooler"):
        load_pair_model(folder)


def test_pickled_weights_in_a_folder_are_not_read(tmp_path: Path) -> None:
    folder = exported(random_pair_model(), tmp_path / "m")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnreadableFileError, match=r"holds no model\.safetensors"):
        load_pair_model(folder)


@pytest.mark.parametrize(
    "changed",
    [
        {"model_type": "gpt2"},
        {"model_type": ["roberta"]},
        {"model_type": None},
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": 3},
        {"num_attention_heads": 7},
        {"num_attention_heads": 0},
        {"hidden_size": "64"},
        {"hidden_size": -64},
        {"hidden_act": "rm -rf"},
        {"hidden_act": 3},
        {"vocab_size": 10**15},
        {"pad_token_id": -3},
        {"pad_token_id": 300},
        {"layer_norm_eps": "tiny"},
        {"layer_norm_eps": 1.0},
        {"max_position_embeddings": 10},
        {"type_vocab_size": 2},
        {"intermediate_size": 7},
        {"position_embedding_type": "relative_key"},
        {"is_decoder": "yes", "vocab_size": 3},
    ],
)
def test_a_configuration_that_does_not_fit_the_weights_is_refused(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    folder = exported(random_pair_model(), tmp_path / "m")
    with pytest.raises(RagGuardError):
        load_pair_model(edited(folder, lambda config: config.update(changed), "config.json"))


def test_settings_that_would_fetch_code_are_not_passed_on(tmp_path: Path) -> None:
    model = random_pair_model()
    remote = {"auto_map": {"AutoModel": "evil/repo--m.M"}, "_attn_implementation": "evil/kernel"}
    loaded = load_pair_model(exported(model, tmp_path / "m", **remote))
    assert torch.equal(logits_of(loaded, PAIRS), logits_of(model, PAIRS))
    assert not hasattr(loaded.encoder.base_model.config, "auto_map")


def test_weights_of_a_wrong_shape_are_named(tmp_path: Path) -> None:
    folder = exported(random_pair_model(), tmp_path / "m")
    state = load_file(folder / "model.safetensors")
    key = "roberta.encoder.layer.0.attention.self.query.weight"
    state[key] = state[key][:, :32].clone()
    save_file(state, folder / "model.safetensors")
    with pytest.raises(UnreadableFileError, match=r"query\.weight .*\(64, 32\), needed \(64, 64\)"):
        load_pair_model(folder)


@pytest.mark.parametrize("broken", ["scale_missing", "scale_short", "matrix_missing", "scale_nan"])
def test_int8_rows_and_scales_that_do_not_match_are_refused(broken: str, tmp_path: Path) -> None:
    folder = saved(random_pair_model(), tmp_path / "m", storage="int8")
    (folder / "ragguard.json").unlink()  # without it nothing vouches for the file
    state = load_file(folder / "model.safetensors")
    key = "base_model.pooler.dense.weight"
    scale = state.pop(f"{key}.row_scale")
    if broken == "matrix_missing":
        state.pop(key)
        state[f"{key}.row_scale"] = scale
    elif broken != "scale_missing":
        state[f"{key}.row_scale"] = scale[:-1].clone() if broken == "scale_short" else scale * float("nan")
    save_file(state, folder / "model.safetensors")
    with pytest.raises(UnreadableFileError, match="pooler"):
        load_pair_model(folder)


# Names


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="no alignment model 'nothing'"):
        load_pair_model(tmp_path / "nothing")


def test_the_bundled_model_is_checked_and_never_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_model, "WEIGHTS_FOLDER", tmp_path)
    with pytest.raises(UnreadableFileError, match="bundled alignment model is missing"):
        load_pair_model("bundled")
    with pytest.raises(ConfigurationError, match="not shipped with this version"):
        load_pair_model("bundled-large")
    saved(random_pair_model(), tmp_path / "align-small")
    saved(random_pair_model(seed=1), tmp_path / "align-large")
    assert load_pair_model().name == "align-small"
    assert load_pair_model("bundled-large").name == "align-large"
    (tmp_path / "align-small" / "ragguard.json").unlink()
    with pytest.raises(UnreadableFileError, match=r"ragguard\.json"):
        load_pair_model("bundled")
    shutil.rmtree(tmp_path / "align-large")
    with pytest.raises(ConfigurationError, match="not shipped"):
        load_pair_model("bundled-large")


def test_loading_draws_nothing_at_random(tmp_path: Path) -> None:
    folder = saved(random_pair_model(), tmp_path / "m")
    before = torch.random.get_rng_state()
    load_pair_model(folder)
    assert torch.equal(torch.random.get_rng_state(), before)
