from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ragguard.errors import DuplicateIdError, EmptyCorpusError, IndexFileError, UnknownNameError
from ragguard.trace import segment as segment_module
from ragguard.trace import suffix_array
from ragguard.trace.documents import TraceDocument
from ragguard.trace.index import TraceIndex
from ragguard.trace.lock import sole_writer
from ragguard.trace.tokens import tokenise

HANDBOOK = TraceDocument("handbook", "The reserve key hangs behind the second boiler in the cellar.")
REFUNDS = TraceDocument("refunds", "Refunds are paid within fourteen days of the return.")
MANUAL = TraceDocument("manual", "The boiler in the cellar is serviced every spring.")
LEAK = tokenise("They say THE RESERVE KEY hangs, behind the second boiler!")


@pytest.fixture
def index(tmp_path: Path) -> TraceIndex:
    return TraceIndex.build(tmp_path / "index", deny=[HANDBOOK], policy=[REFUNDS], trusted=[MANUAL])


def seen(index: TraceIndex) -> list[tuple[int, int, int]]:
    return [(m.start, m.end, m.count) for m in index.corpora["deny"].matches(LEAK)]


def test_each_label_is_a_corpus_of_its_own(index: TraceIndex) -> None:
    assert seen(index) == [(2, 10, 1)]
    assert index.corpora["trusted"].matches(LEAK) == []
    assert [(m.start, m.end) for m in index.corpora["trusted"].matches(LEAK, least=1)] == [
        (2, 3),
        (7, 8),
        (9, 10),
    ]
    assert index.corpora["policy"].document("refunds") == REFUNDS


def test_what_was_built_is_what_is_opened(index: TraceIndex) -> None:
    opened = TraceIndex.open(index.folder)
    assert seen(opened) == seen(index)
    assert opened.fingerprint() == index.fingerprint()
    assert opened.info() == index.info()
    opened.verify()


def test_words_are_counted_over_all_corpora_together(index: TraceIndex) -> None:
    words = [w for d in (HANDBOOK, REFUNDS, MANUAL) for w in tokenise(d.text).words]
    assert index.unigrams.total == len(words)
    assert index.unigrams.types == len(set(words))
    the, boiler, cellar, unseen = index.unigrams.surprisal(["the", "boiler", "key", "aspirin"])
    assert the < boiler < cellar < unseen


def test_information_is_plain_data_and_quotes_no_text(index: TraceIndex) -> None:
    info = json.loads(json.dumps(index.info()))
    assert info["corpora"]["deny"] == {
        "documents": 1,
        "tokens": 11,
        "segments": 1,
        "bytes": info["corpora"]["deny"]["bytes"],
    }
    assert info["corpora"]["deny"]["bytes"] > 0
    assert "boiler" not in json.dumps(info)


@pytest.mark.skipif(os.name == "nt", reason="no such permissions")
def test_what_is_registered_can_be_read_by_its_owner_alone(index: TraceIndex) -> None:
    index.add("deny", [MANUAL]).compact()
    modes = {(p.is_dir(), stat.S_IMODE(p.stat().st_mode)) for p in (index.folder, *index.folder.rglob("*"))}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_an_added_document_is_found_and_earlier_readers_are_not_disturbed(index: TraceIndex) -> None:
    reader = TraceIndex.open(index.folder)
    index.add(
        "deny", [TraceDocument("again", "hangs behind the second boiler, hangs behind the second boiler")]
    )
    assert seen(index) == seen(TraceIndex.open(index.folder)) == [(2, 10, 1)]
    (found,) = index.corpora["deny"].matches(tokenise("hangs behind the second boiler"), least=3)
    assert found.count == 3
    assert [o.document for o in found.occurrences] == ["handbook", "again", "again"]
    assert len(reader.corpora["deny"]) == 1
    assert reader.corpora["deny"].document("handbook") == HANDBOOK
    assert seen(reader) == [(2, 10, 1)]


def test_compacting_changes_nothing_but_the_number_of_segments(index: TraceIndex) -> None:
    for number in range(3):
        index.add("deny", [TraceDocument(f"extra {number}", f"behind the second boiler in house {number}")])
    reader, before = TraceIndex.open(index.folder), index.fingerprint()
    counted = index.unigrams.surprisal(LEAK.words)
    matched = index.corpora["deny"].matches(LEAK, least=1)
    index.compact()
    assert [len(corpus.segments) for corpus in index.corpora.values()] == [1, 1, 1]
    assert index.fingerprint() == before
    assert (
        index.corpora["deny"].matches(LEAK, least=1)
        == matched
        == reader.corpora["deny"].matches(LEAK, least=1)
    )
    np.testing.assert_array_equal(index.unigrams.surprisal(LEAK.words), counted)
    assert list(reader.corpora["deny"].documents()) == list(index.corpora["deny"].documents())
    segments = [p.name for p in index.folder.iterdir() if p.name.startswith("segment-")]
    assert len(segments) == 3, "merged segments are removed"
    TraceIndex.open(index.folder).verify()


def test_a_fingerprint_tells_documents_apart_and_not_their_order(tmp_path: Path) -> None:
    one = TraceIndex.build(tmp_path / "1", deny=[HANDBOOK, MANUAL]).fingerprint()
    turned = TraceIndex.build(tmp_path / "2", deny=[MANUAL, HANDBOOK]).fingerprint()
    renamed = TraceIndex.build(tmp_path / "3", deny=[HANDBOOK, TraceDocument("m", MANUAL.text)]).fingerprint()
    elsewhere = TraceIndex.build(tmp_path / "4", policy=[HANDBOOK, MANUAL]).fingerprint()
    assert one == turned
    assert one not in (renamed, elsewhere)


def test_adding_nothing_changes_nothing(index: TraceIndex) -> None:
    before = index.fingerprint()
    assert index.add("trusted", []).fingerprint() == before


def test_refuses_an_unknown_label(index: TraceIndex) -> None:
    with pytest.raises(UnknownNameError, match=r"'secret'.*deny, policy, trusted"):
        index.add("secret", [HANDBOOK])  # type: ignore[arg-type]


def test_refuses_no_documents_at_all(tmp_path: Path) -> None:
    with pytest.raises(EmptyCorpusError):
        TraceIndex.build(tmp_path)
    with pytest.raises(IndexFileError):
        TraceIndex.open(tmp_path)


def test_refuses_one_id_twice_and_leaves_the_index_as_it_was(index: TraceIndex, tmp_path: Path) -> None:
    with pytest.raises(DuplicateIdError, match="'handbook'"):
        index.add("deny", [TraceDocument("new", "x"), HANDBOOK])
    with pytest.raises(DuplicateIdError, match="'twice'"):
        index.add("trusted", [TraceDocument("twice", "x"), TraceDocument("twice", "y")])
    with pytest.raises(DuplicateIdError):
        TraceIndex.build(tmp_path / "other", deny=[HANDBOOK, HANDBOOK])
    opened = TraceIndex.open(index.folder)
    assert [len(corpus) for corpus in opened.corpora.values()] == [1, 1, 1]
    assert not [p for p in index.folder.iterdir() if p.name.startswith(".writing")]


def test_one_id_may_stand_in_two_corpora(tmp_path: Path) -> None:
    index = TraceIndex.build(tmp_path, deny=[HANDBOOK], trusted=[HANDBOOK])
    assert index.corpora["deny"].document("handbook") == index.corpora["trusted"].document("handbook")


def test_building_again_replaces_what_was_there(index: TraceIndex) -> None:
    TraceIndex.build(index.folder, trusted=[MANUAL])
    opened = TraceIndex.open(index.folder)
    assert [len(corpus) for corpus in opened.corpora.values()] == [0, 0, 1]
    assert seen(index) == [(2, 10, 1)], "an open index keeps showing what it was opened on"


def test_refuses_a_second_writer(index: TraceIndex) -> None:
    with sole_writer(index.folder):
        with pytest.raises(IndexFileError, match="another process is writing"):
            index.add("deny", [MANUAL])
        with pytest.raises(IndexFileError, match="another process is writing"):
            index.compact()
        assert seen(TraceIndex.open(index.folder)) == [(2, 10, 1)]


def interrupted(text: str) -> Iterator[TraceDocument]:
    yield TraceDocument("first", text)
    raise KeyboardInterrupt


def test_an_interrupted_build_leaves_the_old_index_and_goes_on_when_repeated(
    index: TraceIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    deny = [TraceDocument("long", "many words " * 50)]
    with pytest.raises(KeyboardInterrupt):
        TraceIndex.build(index.folder, deny=deny, trusted=interrupted("and then"))
    assert seen(TraceIndex.open(index.folder)) == [(2, 10, 1)]
    sorted_again: list[int] = []
    really = suffix_array.build

    def counting(tokens: np.ndarray) -> np.ndarray:
        sorted_again.append(tokens.size)
        return really(tokens)

    monkeypatch.setattr(suffix_array, "build", counting)
    built = TraceIndex.build(index.folder, deny=deny, trusted=[TraceDocument("first", "and then")])
    assert sorted_again == [3], "the deny corpus was finished already"
    built.verify()


KILLED = """
import os, sys
from pathlib import Path
from ragguard.trace import manifest
from ragguard.trace.documents import TraceDocument
from ragguard.trace.index import TraceIndex
from ragguard.trace import index
index.write_manifest = lambda *_: os._exit(9)
TraceIndex.open(sys.argv[1]).add("deny", [TraceDocument("late", "never shown")])
"""


def test_a_process_killed_before_the_manifest_leaves_the_old_index(index: TraceIndex) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(index.folder)], timeout=60)
    assert done.returncode == 9
    opened = TraceIndex.open(index.folder)
    assert len(opened.corpora["deny"]) == 1
    opened.add("deny", [TraceDocument("later", "shown")])
    assert [d.id for d in opened.corpora["deny"].documents()] == ["handbook", "later"]
    named = {f"segment-{s.facts['fingerprint'][:24]}" for c in opened.corpora.values() for s in c.segments}
    assert {p.name for p in index.folder.iterdir() if p.name.startswith("segment-")} == named


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")


def test_every_missing_or_truncated_file_is_a_typed_error(index: TraceIndex, tmp_path: Path) -> None:
    for number, path in enumerate(files(index.folder)):
        for cut in (None, 0, path.stat().st_size // 2):
            if cut == path.stat().st_size:
                continue
            copy = tmp_path / f"copy{number}-{cut}"
            shutil.copytree(index.folder, copy)
            broken = copy / path.relative_to(index.folder)
            broken.unlink() if cut is None else os.truncate(broken, cut)
            with pytest.raises(IndexFileError):
                TraceIndex.open(copy)


def test_every_altered_byte_is_found_by_verifying(index: TraceIndex, tmp_path: Path) -> None:
    for number, path in enumerate(files(index.folder)):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(index.folder, copy)
        broken = copy / path.relative_to(index.folder)
        content = bytearray(broken.read_bytes())
        content[len(content) // 2] ^= 1
        broken.write_bytes(bytes(content))
        with pytest.raises(IndexFileError):
            TraceIndex.open(copy).verify()


def test_a_foreign_folder_is_a_typed_error(index: TraceIndex, tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match="missing"):
        TraceIndex.open(tmp_path / "nowhere")
    (tmp_path / "manifest.json").write_text('{"format": "ragguard-index"}')
    with pytest.raises(IndexFileError, match="not of a ragguard index"):
        TraceIndex.open(tmp_path)
    seal = next(index.folder.glob("unigrams-*")) / "seal.json"
    shutil.copy(seal, tmp_path / "manifest.json")
    with pytest.raises(IndexFileError, match="not of a trace index"):
        TraceIndex.open(tmp_path)


def test_a_segment_put_in_the_place_of_another_is_a_typed_error(index: TraceIndex, tmp_path: Path) -> None:
    other = TraceIndex.build(tmp_path / "other", deny=[MANUAL])
    mine = index.folder / index.corpora["deny"].segments[0].name
    shutil.rmtree(mine)
    shutil.copytree(other.folder / other.corpora["deny"].segments[0].name, mine)
    with pytest.raises(IndexFileError, match="another segment"):
        TraceIndex.open(index.folder)


def test_an_index_of_a_newer_version_asks_for_one(index: TraceIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_module, "SCHEMA_VERSION", 0)
    with pytest.raises(IndexFileError, match=r"schema version 1, known is 0.*newer ragguard"):
        TraceIndex.open(index.folder)


def test_an_index_with_other_rules_for_words_is_refused(
    index: TraceIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_module, "VERSION", 0)
    with pytest.raises(IndexFileError, match="other rules for words"):
        TraceIndex.open(index.folder)


def test_progress_is_told_by_corpus(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    TraceIndex.build(
        tmp_path, deny=[HANDBOOK, MANUAL], trusted=iter([REFUNDS]), progress=lambda *step: told.append(step)
    )
    assert told == [("deny documents", 1, 2), ("deny documents", 2, 2), ("trusted documents", 1, 0)]


RESIDENT = """
import sys
import psutil
from ragguard.trace.index import TraceIndex
from ragguard.trace.tokens import tokenise
tokenise("warm words"), psutil.Process().memory_info()
before = psutil.Process().memory_info().rss
index = TraceIndex.open(sys.argv[1])
print(psutil.Process().memory_info().rss - before)
"""


@pytest.mark.slow
def test_an_index_is_opened_without_being_read_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    text = " ".join(f"w{n}" for n in rng.zipf(1.3, size=1_000_000) % 40_000)
    index = TraceIndex.build(tmp_path, deny=[TraceDocument("big", text)])
    size = index.info()["corpora"]["deny"]["bytes"]
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert size > 15_000_000
    assert int(done.stdout) < size / 20
