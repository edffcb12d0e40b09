from __future__ import annotations

from pathlib import Path

import pytest

from ragguard.errors import DuplicateIdError, UnreadableFileError
from ragguard.trace.documents import TraceDocument, load_documents


def test_reads_files_folders_and_lines(tmp_path: Path) -> None:
    (tmp_path / "books" / "old").mkdir(parents=True)
    (tmp_path / "books" / "b.txt").write_text("second\r\n", newline="")
    (tmp_path / "books" / "old" / "a.md").write_text("third", encoding="utf-8-sig")
    (tmp_path / "books" / ".hidden.txt").write_text("never")
    (tmp_path / "books" / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / "lines.jsonl").write_text('{"id": "x", "text": "one\u2028line"}\n\n{"id": 7, "text": ""}\n')
    (tmp_path / "leak").write_text("no suffix")
    assert load_documents([tmp_path / "lines.jsonl", tmp_path / "books", tmp_path / "leak"]) == [
        TraceDocument("x", "one\u2028line"),
        TraceDocument("7", ""),
        TraceDocument("b.txt", "second\r\n"),
        TraceDocument("old/a.md", "third"),
        TraceDocument("leak", "no suffix"),
    ]


def test_one_path_need_not_be_a_list(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    assert (
        load_documents(str(tmp_path / "a.txt")) == load_documents(tmp_path) == [TraceDocument("a.txt", "a")]
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "line 2: not valid JSON"),
        ("[1]", "line 2: not an object"),
        ('{"text": "secret words"}', "line 2: `id`"),
        ('{"id": " ", "text": "secret words"}', "line 2: `id`"),
        ('{"id": true, "text": "secret words"}', "line 2: `id`"),
        ('{"id": "a", "text": 5}', "line 2: `text`"),
        ("[" * 100_000, "line 2: not valid JSON"),
    ],
)
def test_a_malformed_line_is_named_and_not_quoted(tmp_path: Path, line: str, fault: str) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f'{{"id": "first", "text": "fine"}}\n{line}\n')
    with pytest.raises(UnreadableFileError, match=fault) as caught:
        load_documents(path)
    assert "secret" not in str(caught.value)


def test_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="no file 'missing'"):
        load_documents(tmp_path / "missing")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UnreadableFileError, match="not UTF-8"):
        load_documents(tmp_path / "latin.txt")


def test_refuses_two_documents_of_one_id(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    for name in ("a.txt", "one/a.txt"):
        (tmp_path / name).write_text("a")
    with pytest.raises(DuplicateIdError, match=r"a\.txt"):
        load_documents([tmp_path / "a.txt", tmp_path / "one"])
