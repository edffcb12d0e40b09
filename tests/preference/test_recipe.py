from __future__ import annotations

from pathlib import Path

import pytest

from ragguard.errors import ConfigurationError, UnreadableFileError
from ragguard.preference.recipe import Settings, read_settings, settings_of


def test_the_defaults_are_three_objectives_of_equal_weight_unless_the_other_proves_better() -> None:
    settings = Settings()
    assert settings.objectives == ("point", "pair", "contrastive")
    assert settings.weightings == ("equal", "mgda")
    assert Settings(objectives=("pair",)).weightings == ("equal",)
    assert Settings(weighting="mgda").weightings == ("mgda",)


def test_settings_are_read_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "rerank.yaml"
    path.write_text("epochs: 5\nobjectives: [pair, point]\nshares: [0.1, 0.4]\n", encoding="utf-8")
    assert read_settings(path) == Settings(epochs=5, objectives=("pair", "point"), shares=(0.1, 0.4))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"epoch": 3}, "epoch"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"objectives": []}, "objectives"),
        ({"objectives": ["pair", "pair"]}, "objectives"),
        ({"shares": [0.5, 0.5]}, "shares"),
        ({"risk": 0.5}, "risk"),
    ],
)
def test_what_cannot_be_used_is_named(values: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        settings_of(values)


@pytest.mark.parametrize("text", ["- a\n- b", "{", ""])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rerank.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((ConfigurationError, UnreadableFileError), match=r"rerank\.yaml"):
        read_settings(path)
