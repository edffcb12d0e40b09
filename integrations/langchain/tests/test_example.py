from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"
README = Path(__file__).resolve().parents[1] / "README.md"
NAMES = ("langchain_retriever", "langchain_chain", "langchain_conversation", "own_faiss_store")
MESSAGE = "I can't show an answer to this: "


def printed(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short_enough_to_read(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()) < 60


def test_the_retriever_passes_the_true_answer_on_and_not_the_false(
    capsys: pytest.CaptureFixture[str],
) -> None:
    passed, refused, none, promise = printed("langchain_retriever", capsys)
    assert passed == "True The warranty on lamps lasts two years."
    assert refused.startswith(f"False {MESSAGE}")
    assert none.startswith("No passage of the knowledge base")
    assert "with probability at least 0.9" in promise


def test_the_chain_streams_by_sentence_and_judges_in_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    true, half, abstained, *batch = printed("langchain_chain", capsys)
    assert true == "['Tram 3 of Bergen leaves platform 36. ', 'It runs every 30 minutes.']"
    assert half.startswith("['Tram 3 of Bergen leaves platform 36. ', \"\\n\\nI can't show")
    assert "every 5 minutes" not in half
    assert "I don't know" in abstained
    assert batch == ["True ok", "False contradicted_answer", "False model_abstained"]


def test_the_bot_understands_follow_ups_and_makes_nothing_up(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = printed("langchain_conversation", capsys)
    assert first.startswith("What is the density of nickel? The density of nickel")
    assert second.startswith("What is the hardness of nickel? The hardness of nickel")
    assert third.startswith(f"What is the price of nickel? {MESSAGE}")


def test_an_index_of_ones_own_is_guarded_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed("own_faiss_store", capsys) == ["[('Tram 3 of Bergen leaves platform 36.', 'valid')]", "[]"]


def test_the_readme_does_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, object] = {"__name__": "readme"}
    for code in blocks:
        exec(compile(code, README.name, "exec"), names)
    found, passed, refused, *sentences, none = capsys.readouterr().out.splitlines()
    assert found == "Tram 3 of Bergen leaves platform 36. valid"
    assert passed == "True Tram 3 of Bergen leaves platform 36."
    assert refused.startswith(f"False {MESSAGE}")
    assert sentences == ["Tram 3 of Bergen leaves platform 36."]
    assert none.startswith("No passage of the knowledge base")
