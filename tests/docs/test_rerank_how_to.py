"""The how-to page on reranking: its code and its commands, run in order as they stand there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from ragguard.config import Settings
from ragguard.models.pair_model import save_pair_model
from ragguard.preference.records import read_examples
from tests.cli.running import command
from tests.models.random_models import random_pair_model

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "rerank-by-what-your-reader-needs.md"

pytestmark = pytest.mark.slow


def test_every_command_and_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n# make_files\.py\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(script, "make_files.py", "exec"), {})
    commands = re.findall(
        r"^\$ ragguard (.*)$", "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL)), re.M
    )
    assert len(commands) == 8
    for line in commands:
        # Training the bundled model takes minutes; how it is done does not depend on which model it is.
        base = ("--base", str(_small(tmp_path))) if line.startswith("rerank train") else ()
        done = command(*shlex.split(line), *base)
        assert done.code == 0, (line, done.err)
    (ranked,) = [json.loads(line) for line in Path("ranked.jsonl").read_text().splitlines()]
    assert ranked["order"][0] == 0
    assert {e.category for e in read_examples("preferences.jsonl")} >= {"aligned"}
    assert {e.weight for e in read_examples("thumbs.jsonl")} == {0.3}
    settings = [yaml.safe_load(part) for part in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert [guard.use for guard in Settings.model_validate(settings[0]).guards] == ["rerank", "consistency"]
    names: dict[str, object] = {}
    for example in re.findall(r"```python\n(?!# make_files)(.*?)```", text, re.DOTALL):
        exec(compile(example, PAGE.name, "exec"), names)


def _small(folder: Path) -> Path:
    model = random_pair_model(max_tokens=96)
    place = folder / "small"
    if not place.exists():
        save_pair_model(place, model.encoder, tokenizer=model.tokens.definition, max_tokens=96, card={})
    return place
