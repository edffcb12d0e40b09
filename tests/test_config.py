"""Settings from a file: what is read, and that what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragguard.config import GuardSettings, Settings, load_settings
from ragguard.errors import ConfigurationError
from ragguard.types import Mode, OnError

YAML = """
generator: extractive
generator_options: {max_sentences: 3}
retrieval: {use: conformal_retrieval, on_error: abstain}
guards:
  - use: consistency
    mode: shadow
    options: {policy: redact}
deadline: 2.5
messages: {refuse: "No."}
on_expired: error
"""
TOML = """
generator = "extractive"
deadline = 2.5
on_expired = "error"
generator_options = {max_sentences = 3}
messages = {refuse = "No."}
retrieval = {use = "conformal_retrieval", on_error = "abstain"}
[[guards]]
use = "consistency"
mode = "shadow"
options = {policy = "redact"}
"""


@pytest.mark.parametrize(("suffix", "text"), [(".yaml", YAML), (".yml", YAML), (".toml", TOML)])
def test_a_file_of_either_kind_gives_the_same_settings(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"serve{suffix}"
    path.write_text(text, encoding="utf-8")
    assert load_settings(path) == Settings(
        generator="extractive",
        generator_options={"max_sentences": 3},
        retrieval=GuardSettings(use="conformal_retrieval", on_error=OnError.ABSTAIN),
        guards=(GuardSettings(use="consistency", mode=Mode.SHADOW, options={"policy": "redact"}),),
        deadline=2.5,
        messages={"refuse": "No."},
        on_expired="error",
    )


def test_an_empty_file_gives_the_defaults_which_fail_closed(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("", encoding="utf-8")
    settings = load_settings(tmp_path / "empty.yaml")
    assert settings == Settings()
    assert [(g.use, g.mode, g.on_error) for g in (settings.retrieval, *settings.guards)] == [
        ("conformal_retrieval", Mode.ENFORCE, OnError.REFUSE),
        ("consistency", Mode.ENFORCE, OnError.REFUSE),
    ]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("a.yaml", "alpha: 0.5", "alpha"),
        ("a.yaml", "deadline: 0", "deadline"),
        ("a.yaml", "guards: [{use: x, mode: maybe}]", "guards.0.mode"),
        ("a.yaml", "guards: [{mode: off}]", "guards.0.use"),
        ("a.yaml", "[1, 2]", "no mapping"),
        ("a.yaml", "a: [", "cannot be read"),
        ("a.yaml", "!!python/object/apply:os.getcwd []", "cannot be read"),
        ("a.toml", "a = ", "cannot be read"),
        ("a.toml", "\x00", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_configuration_error(
    tmp_path: Path, name: str, text: str, named: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=named):
        load_settings(tmp_path / name)


def test_a_missing_file_a_folder_and_bytes_are_configuration_errors(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "bytes.yaml"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_settings(path)
