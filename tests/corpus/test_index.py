from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragguard.corpus import manifest
from ragguard.corpus.index import PassageIndex
from ragguard.corpus.progress import ProgressBar
from ragguard.errors import (
    CalibrationMismatchError,
    DuplicateIdError,
    EmptyCorpusError,
    IndexFileError,
    InvalidValueError,
    InvalidVectorError,
    UnknownNameError,
    UnknownPassageError,
)
from ragguard.protocols import FloatArray
from ragguard.testing import HashEmbedder
from ragguard.types import Passage, Span

EMBEDDER = HashEmbedder(16)
KINDS: dict[str, dict[str, Any]] = {"flat": {}, "hnsw": {}, "ivf": {"probes": 1000}}


def passages(count: int, start: int = 0) -> list[Passage]:
    return [Passage(id=f"p{i}", text=f"word{i} common{i % 7} thing") for i in range(start, start + count)]


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def build(path: Path, items: list[Passage], kind: Any = "flat", **more: Any) -> PassageIndex:
    return PassageIndex.build(path / "ix", items, EMBEDDER, kind=kind, settings=KINDS[kind], **more)


def by_hand(items: list[Passage], query: FloatArray) -> dict[str, float]:
    vectors = EMBEDDER.embed_passages([p.text for p in items])
    return dict(zip((p.id for p in items), (vectors @ query).tolist(), strict=True))


def agrees(index: PassageIndex, items: list[Passage]) -> None:
    query = EMBEDDER.embed_queries(["word3 common3"])
    expected = by_hand(items, query[0])
    ids, scores = index.search(query, 5)
    best = sorted(expected, key=lambda name: -expected[name])[:5]
    np.testing.assert_allclose(scores[0], [expected[n] for n in best], atol=1e-5)
    assert set(ids[0]) == set(best) or len(best) < 5
    ((names, similarities),) = index.above(query, scores[0][-1])
    assert len(names) >= len(ids[0])
    assert np.all(similarities >= scores[0][-1])


def test_finds_what_a_full_comparison_finds(tmp_path: Path, kind: Any) -> None:
    items = passages(200)
    index = build(tmp_path, items, kind)
    agrees(index, items)
    assert len(index) == 200
    assert index.get("p7") == items[7]
    assert [p.id for p in index.passages[:3]] == ["p0", "p1", "p2"]
    assert index.passages[-1] == items[-1]
    query = EMBEDDER.embed_queries(["thing"])[0]
    expected = by_hand(items, query)
    np.testing.assert_allclose(
        index.similarities(query, ["p9", "p2"]), [expected["p9"], expected["p2"]], atol=1e-6
    )


def test_adding_replacing_and_deleting_last_after_opening_again(tmp_path: Path, kind: Any) -> None:
    items = passages(60)
    index = build(tmp_path, items, kind)
    index.add(passages(5, 60))
    index.replace([Passage(id="p3", text="quite another text")])
    index.delete(["p0", "p64"])
    left = [*items[1:3], Passage(id="p3", text="quite another text"), *items[4:], *passages(4, 60)]
    for found in (index, PassageIndex.open(tmp_path / "ix", EMBEDDER)):
        assert len(found) == 63
        assert sorted(found.ids) == sorted(p.id for p in left)
        assert found.get("p3").text == "quite another text"
        assert "p0" not in found
        agrees(found, left)


def test_an_approximate_index_is_built_anew_once_a_fifth_is_dead(tmp_path: Path) -> None:
    index = build(tmp_path, passages(50), "hnsw")
    index.delete([f"p{i}" for i in range(10)])
    assert json.loads((tmp_path / "ix" / "manifest.json").read_text())["rows"] == 50
    index.delete(["p10"])
    assert json.loads((tmp_path / "ix" / "manifest.json").read_text())["rows"] == 39
    agrees(index, passages(39, 11))


def test_equal_texts_are_indexed_once_and_a_duplicate_inherits(tmp_path: Path, kind: Any) -> None:
    items = [
        Passage(id="a", text="same text"),
        Passage(id="b", text=" same\n text", metadata={"k": 1}),
        Passage(id="c", text="same text"),
        *passages(20),
    ]
    index = build(tmp_path, items, kind)
    assert len(index) == 21
    assert index.duplicates == {"b": "a", "c": "a"}
    assert index.get("b").metadata == {"k": 1}
    index.delete(["a"])
    assert index.duplicates == {"c": "b"}
    query = EMBEDDER.embed_queries(["same text"])
    assert index.search(query, 1)[0] == [["b"]]
    index.add([Passage(id="a", text="same   text")])
    assert index.duplicates == {"c": "b", "a": "b"}
    index.delete(["b", "c"])
    assert index.search(query, 1)[0] == [["a"]]
    assert PassageIndex.open(tmp_path / "ix", EMBEDDER).duplicates == {}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
def test_any_run_of_changes_leaves_what_a_dictionary_would(tmp_path: Path, data: Any, kind: Any) -> None:
    shutil.rmtree(tmp_path / "ix", ignore_errors=True)
    text = st.sampled_from([f"text {i}" for i in range(12)])
    model = {f"s{i}": data.draw(text) for i in range(8)}
    index = build(tmp_path, [Passage(id=k, text=v) for k, v in model.items()], kind)
    for step in range(6):
        change = data.draw(st.sampled_from(["add", "delete", "replace"]))
        if change == "add":
            index.add([Passage(id=f"n{step}", text=(model.setdefault(f"n{step}", data.draw(text))))])
        elif model:
            name = data.draw(st.sampled_from(sorted(model)))
            if change == "delete":
                del model[name]
                index.delete([name])
            else:
                model[name] = data.draw(text)
                index.replace([Passage(id=name, text=model[name])])
        assert {*index.ids, *index.duplicates} == set(model)
        assert {index.get(name).text for name in index.ids} == set(model.values())
        assert len(index) == len(set(model.values()))
        assert all(model[a] == model[b] for a, b in index.duplicates.items())


def test_content_hashes_change_with_the_passage_alone(tmp_path: Path) -> None:
    index = build(tmp_path, passages(10))
    before = index.content_hashes()
    assert before.dtype == np.uint64
    assert np.all(np.diff(before.astype(object)) > 0)
    index.replace([Passage(id="p3", text="other", document="d", span=Span(start=0, end=5))])
    assert len(np.intersect1d(before, index.content_hashes())) == 9


def test_fingerprint_says_embedder_kind_settings_and_chunking(tmp_path: Path) -> None:
    index = build(tmp_path, passages(3), chunking={"max_tokens": 200})
    assert index.fingerprint() == {
        "embedder": dict(EMBEDDER.fingerprint()),
        "chunking": {"max_tokens": 200},
        "kind": "flat",
        "settings": {"screen": "float32"},
        "metric": "inner_product",
    }


def test_another_embedder_is_refused_and_both_are_named(tmp_path: Path) -> None:
    build(tmp_path, passages(3))
    with pytest.raises(CalibrationMismatchError, match=r"'hash'.*'other'"):
        PassageIndex.open(tmp_path / "ix", HashEmbedder(16, name="other"))


def break_file(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(content[:-5])
    elif how == "altered":
        path.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])
    else:
        path.write_bytes(b"something else")


@pytest.mark.parametrize("how", ["missing", "truncated", "altered", "foreign"])
@pytest.mark.parametrize("part", ["manifest", "vectors", "passages"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, part: str, how: str) -> None:
    build(tmp_path, passages(5))
    (path,) = (tmp_path / "ix").glob(f"{part}*")
    break_file(path, how)
    with pytest.raises(IndexFileError, match="rebuild with") as caught:
        PassageIndex.open(tmp_path / "ix", EMBEDDER)
    assert path.name in str(caught.value) or how == "missing"


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match="no index"):
        PassageIndex.open(tmp_path / "none", EMBEDDER)


def test_a_change_that_fails_while_writing_leaves_the_old_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = build(tmp_path, passages(5))
    real: Callable[[Path], None] = manifest._sync

    def fails(path: Path) -> None:
        if "manifest" in path.name:
            raise OSError("disk full")
        real(path)

    monkeypatch.setattr(manifest, "_sync", fails)
    with pytest.raises(OSError, match="disk full"):
        index.delete(["p0"])
    monkeypatch.undo()
    for found in (index, PassageIndex.open(tmp_path / "ix", EMBEDDER)):
        assert len(found) == 5
        assert found.get("p0").id == "p0"
    index.delete(["p0"])
    assert len(list((tmp_path / "ix").iterdir())) == 3


def test_refuses_what_it_cannot_index(tmp_path: Path) -> None:
    with pytest.raises(EmptyCorpusError):
        build(tmp_path, [])
    with pytest.raises(DuplicateIdError, match="'p0'"):
        build(tmp_path, [*passages(2), *passages(1)])
    with pytest.raises(InvalidValueError, match="'blank'"):
        build(tmp_path, [Passage(id="blank", text=" ")])
    with pytest.raises(InvalidValueError, match="'odd'"):
        build(tmp_path, [Passage(id="odd", text="x", metadata={"f": object()})])
    with pytest.raises(UnknownNameError, match="tree"):
        PassageIndex.build(tmp_path / "ix", passages(1), EMBEDDER, kind="tree")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="probes"):
        PassageIndex.build(tmp_path / "ix", passages(1), EMBEDDER, settings={"probes": 1})
    with pytest.raises(InvalidValueError, match="m is 0"):
        PassageIndex.build(tmp_path / "ix", passages(1), EMBEDDER, kind="hnsw", settings={"m": 0})
    assert not (tmp_path / "ix").exists()


def test_refuses_unknown_ids_and_changes_nothing(tmp_path: Path) -> None:
    index = build(tmp_path, passages(3))
    for call in (
        lambda: index.delete(["p0", "zz"]),
        lambda: index.replace([Passage(id="zz", text="x")]),
        lambda: index.get("zz"),
        lambda: index.similarities(np.zeros(16, dtype=np.float32), ["zz"]),
    ):
        with pytest.raises(UnknownPassageError, match="'zz'"):
            call()
    with pytest.raises(DuplicateIdError, match="'p0'"):
        index.add(passages(1))
    assert len(index) == 3


class Broken(HashEmbedder):
    def __init__(self, vectors: FloatArray) -> None:
        super().__init__(16)
        self._vectors = vectors

    def embed_passages(self, texts: Any, /, *, progress: Any = None) -> FloatArray:
        return self._vectors


@pytest.mark.parametrize(
    "vectors", [np.full((3, 16), np.nan), np.ones((3, 16)), np.eye(3, 8), np.eye(2, 16), np.zeros((3, 16))]
)
def test_vectors_that_are_not_unit_vectors_of_the_right_shape_are_refused(
    tmp_path: Path, vectors: FloatArray
) -> None:
    with pytest.raises(InvalidVectorError):
        PassageIndex.build(tmp_path / "ix", passages(3), Broken(vectors.astype(np.float32)))
    assert not (tmp_path / "ix").exists()


def test_bad_query_vectors_are_refused_by_every_kind(tmp_path: Path, kind: Any) -> None:
    index = build(tmp_path, passages(50), kind)
    for bad in (np.full((1, 16), np.nan), np.ones((1, 5)), np.ones(16)):
        with pytest.raises(InvalidVectorError):
            index.search(bad.astype(np.float32), 1)
        with pytest.raises(InvalidVectorError):
            index.above(bad.astype(np.float32), 0.5)
    with pytest.raises(InvalidValueError):
        index.search(np.ones((1, 16), dtype=np.float32), 0)


def test_text_of_any_characters_comes_back_as_it_was(tmp_path: Path) -> None:
    items = [Passage(id="é\n", text="line\u2028one\r\n\ud800 \0 two"), Passage(id="b", text="x")]
    index = build(tmp_path, items)
    assert [index.get("é\n"), index.get("b")] == items


SCRIPT = """
import sys, time
from ragguard.corpus import shards
from ragguard.corpus.index import PassageIndex
from ragguard.testing import HashEmbedder
from ragguard.types import Passage
shards.PASSAGES_A_SHARD = {size}

class Slow(HashEmbedder):
    def embed_passages(self, texts, /, *, progress=None):
        found = super().embed_passages(texts)
        print(self.embedded, flush=True)
        time.sleep({pause})
        return found

embedder = Slow(16)
items = [Passage(id=str(i), text=f"short passage {{i}}") for i in range({count})]
PassageIndex.build(sys.argv[1], items, embedder)
"""


def test_a_build_killed_half_way_embeds_nothing_twice(tmp_path: Path) -> None:
    script = SCRIPT.format(size=2048, pause=0.3, count=9000)
    command = [sys.executable, "-c", script, str(tmp_path / "ix")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        while first.stdout.readline().strip() != "4096":
            pass
        first.send_signal(signal.SIGKILL)
    kept = len(list((tmp_path / "ix.partial").glob("*.npy")))
    assert kept in (1, 2)
    assert not (tmp_path / "ix").exists()
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(second.stdout.split()[-1]) == 9000 - 2048 * kept
    embedder = HashEmbedder(16)
    index = PassageIndex.open(tmp_path / "ix", embedder)
    assert len(index) == 9000
    query = embedder.embed_queries(["short passage 8999"])
    assert index.search(query, 1)[0] == [["8999"]]
    assert not (tmp_path / "ix.partial").exists()


def test_an_earlier_attempt_is_forgotten_when_asked_and_a_damaged_shard_made_again(tmp_path: Path) -> None:
    partial = tmp_path / "ix.partial"

    class Stops(HashEmbedder):
        def embed_passages(self, texts: Any, /, *, progress: Any = None) -> FloatArray:
            if self.embedded >= 2048:
                raise KeyboardInterrupt
            return super().embed_passages(texts, progress=progress)

    items = passages(3000)
    for damage, resume, expected in ((False, True, 952), (True, True, 3000), (False, False, 3000)):
        with pytest.raises(KeyboardInterrupt):
            PassageIndex.build(tmp_path / "ix", items, Stops(16))
        (shard,) = partial.glob("*.npy")
        if damage:
            shard.write_bytes(shard.read_bytes()[:100])
        embedder = HashEmbedder(16)
        told: list[tuple[str, int, int]] = []
        PassageIndex.build(
            tmp_path / "ix",
            items,
            embedder,
            resume=resume,
            progress=lambda *a: told.append(a),  # noqa: B023
        )
        assert embedder.embedded == expected
        assert told[-1] == ("embedding", 3000, 3000)
        shutil.rmtree(tmp_path / "ix")


def test_the_progress_bar_is_silent_off_a_terminal_and_draws_on_stderr_when_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ProgressBar() as silent:
        silent("embedding", 1, 2)
    with ProgressBar(shown=True) as shown:
        shown("embedding", 2, 2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "embedding" in captured.err
    assert "2/2" in captured.err


LARGE = """
import sys
from ragguard.corpus.index import PassageIndex
from ragguard.testing import HashEmbedder
from ragguard.types import Passage

# A thousand different words: the double remembers a direction for each.
embedder = HashEmbedder(384)
items = [
    Passage(id=str(i), text=f"unit {i % 1000} of series {i // 1000}, " + "stored on its shelf. " * 5)
    for i in range(100_000)
]
PassageIndex.build(sys.argv[1], items, embedder)
print(embedder.embedded)
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_thousand_passages_survive_a_kill_in_flat_memory(tmp_path: Path) -> None:
    import time

    import psutil

    shards = -(-100_000 // 2048)
    command = [sys.executable, "-c", LARGE, str(tmp_path / "ix")]
    memory: list[int] = []

    def made() -> int:
        return len(list((tmp_path / "ix.partial").glob("*.npy")))

    with subprocess.Popen(command, stdout=subprocess.PIPE) as first:
        process = psutil.Process(first.pid)
        while made() < shards // 2:
            assert first.poll() is None
            if made() >= 3:
                memory.append(process.memory_info().rss)
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
    kept = made()
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(second.stdout.split()[-1]) == 100_000 - 2048 * kept
    assert max(memory) - min(memory) < 100 * 2**20
    assert json.loads((tmp_path / "ix" / "manifest.json").read_text())["rows"] == 100_000
    sys.stderr.write(f"\nresident {min(memory) >> 20} to {max(memory) >> 20} MiB, {kept} shards kept\n")
