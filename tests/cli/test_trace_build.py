"""`ragguard trace build`, `add`, `compact` and `info`."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from ragguard.cli.trace_options import spelled_out
from ragguard.trace.index import TraceIndex
from tests.cli.running import command, lines_of
from tests.cli.trace_case import HANDBOOK, SECRET, built, run, write_corpora


def test_an_index_holds_what_was_given(tmp_path: Path) -> None:
    folder = built(tmp_path)
    index = TraceIndex.open(folder)
    assert set(index.corpora) == {"deny", "policy", "trusted"}
    assert index.corpora["deny"].document("handbook").text == HANDBOOK
    assert index.corpora["policy"].document("no-pilotage").text == "We never tell a captain how to steer."


def test_one_option_takes_several_files_and_may_be_given_again(tmp_path: Path) -> None:
    names = [tmp_path / f"{name}.txt" for name in "abcd"]
    for path in names:
        path.write_text(f"{path.stem} is the text of a document that must not be shown.")
    done = run("build", "--deny", *names[:2], "--out", tmp_path / "i", "--deny", *names[2:], "--json")
    assert (done.code, done.err) == (0, "")
    ids = [d.id for d in TraceIndex.open(tmp_path / "i").corpora["deny"].documents()]
    assert ids == ["a.txt", "b.txt", "c.txt", "d.txt"]


def test_a_folder_of_files_is_read(tmp_path: Path) -> None:
    write_corpora(tmp_path)
    (tmp_path / "pages" / "old").mkdir(parents=True)
    (tmp_path / "pages" / "old" / "a.md").write_text("One page.")
    (tmp_path / "pages" / "b.jsonl").write_bytes(lines_of([{"id": "b1", "text": "Two."}]))
    done = run("build", "--deny", tmp_path / "pages", "--out", tmp_path / "i", "--json")
    assert done.code == 0
    assert {d.id for d in TraceIndex.open(tmp_path / "i").corpora["deny"].documents()} == {"old/a.md", "b1"}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("--deny a b --out o", "--deny a --deny b --out o"),
        ("d --trusted a --deny b c", "d --trusted a --deny b --deny c"),
        ("--json --policy a", "--json --policy a"),
        ("--deny=a b", "--deny=a b"),
        ("--deny - b", "--deny - --deny b"),
        ("", ""),
    ],
)
def test_values_are_spelled_out(given: str, wanted: str) -> None:
    assert list(spelled_out(given.split())) == wanted.split()


def test_what_is_written_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = built(tmp_path)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_an_index_is_replaced_with_its_policy(tmp_path: Path) -> None:
    folder = built(tmp_path)
    assert built(tmp_path, "--deny", tmp_path / "deny.jsonl") == folder
    assert [name for name, corpus in TraceIndex.open(folder).corpora.items() if len(corpus)] == ["deny"]
    assert not (folder / "policy.json").exists()


def test_documents_are_added_and_found(tmp_path: Path) -> None:
    folder = built(tmp_path)
    (tmp_path / "more.txt").write_text("The night porter keeps a second list in the blue drawer.")
    done = run("add", folder, "--deny", tmp_path / "more.txt", "--json")
    assert (done.code, done.err) == (0, "")
    deny = TraceIndex.open(folder).corpora["deny"]
    assert {d.id for d in deny.documents()} == {"handbook", "more.txt"}
    size = deny.size
    assert run("compact", folder, "--json").code == 0
    assert TraceIndex.open(folder).corpora["deny"].size == size


def test_info_counts_and_quotes_nothing(tmp_path: Path) -> None:
    folder = built(tmp_path)
    done = run("info", folder, "--json")
    assert done.body["corpora"]["deny"]["tokens"] == TraceIndex.open(folder).corpora["deny"].size
    shown = run("info", folder)
    assert (shown.code, shown.err) == (0, "")
    for word in SECRET.lower().split():
        if len(word) > 4:
            assert word not in done.out.lower() + shown.out.lower()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "--out", "i"), "no files"),
        (("build", "--deny", "none.txt", "--out", "i"), "there is no file none.txt"),
        (("build", "--deny", "deny.jsonl", "none.txt", "--out", "i"), "there is no file none.txt"),
        (("build", "--deny", "broken.jsonl", "--out", "i"), "broken.jsonl, line 1"),
        (("build", "--policy", "trusted.txt", "--out", "i"), "trusted.txt"),
        (
            ("build", "--deny", "deny.jsonl", "deny.jsonl", "--out", "i"),
            "two documents have the id 'handbook'",
        ),
        (("add", "no-index", "--deny", "deny.jsonl"), "index"),
        (("info", "no-index"), "index"),
        (("compact", "no-index"), "index"),
    ],
)
def test_what_cannot_be_used_ends_with_2_and_quotes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[Any, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_corpora(tmp_path)
    Path("broken.jsonl").write_text(f'{{"id": "a", "text": "{SECRET}"\n')
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "spare key" not in done.err
    assert not Path("i").exists()


def test_a_file_that_cannot_be_read_leaves_an_index_as_it_was(tmp_path: Path) -> None:
    folder = built(tmp_path)
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    before = run("info", folder, "--json").body
    assert run("add", folder, "--deny", tmp_path / "bad.txt").code == 2
    more, deny = tmp_path / "more.txt", tmp_path / "deny.jsonl"
    more.write_text("Boats are washed on Mondays.")
    assert run("add", folder, "--trusted", more, "--deny", tmp_path / "bad.txt").code == 2
    done = run("add", folder, "--trusted", more, "--deny", deny)
    assert (done.code, "already" in done.err) == (2, True)
    assert run("info", folder, "--json").body == before


def test_guards_of_passages_cannot_be_calibrated_on_runs_without_passages(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("guards: [{use: passages}]\n")
    (tmp_path / "runs.jsonl").write_text("")
    given = (
        "--runs",
        tmp_path / "runs.jsonl",
        "--config",
        tmp_path / "settings.yaml",
        "--out",
        tmp_path / "o",
    )
    done = command("calibrate", *given)
    assert (done.code, done.out) == (2, "")
    assert "--runs holds none" in done.err
