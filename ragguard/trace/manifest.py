"""What an index folder shows: the segments of each corpus, named last of all.

The manifest is replaced in one step, after everything it names is whole on disk.
Until then the old one and its files stand, so a process killed at any moment
leaves a valid index: the old one or the new.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ragguard.trace.corpus import Label
from ragguard.trace.sealed import (
    WRITING,
    broken,
    open_array,
    read_json,
    read_seal,
    seal,
    verify,
    write_json,
    written_aside,
)
from ragguard.trace.segment import SCHEMA_VERSION, Engine, require_version
from ragguard.trace.tokens import VERSION
from ragguard.trace.unigrams import Unigrams, estimated_discount, pooled

FILE_NAME = "manifest.json"
SHARD_TOKENS = 1 << 25
"""Tokens a segment holds at most, save for what its last document brings: some 1.3 GB while building."""
_FORMAT = "ragguard-trace-index"
_OWN = ("segment-", "unigrams-", WRITING)


@dataclass(frozen=True)
class Manifest:
    """Names of the folders that make up an index.

    Attributes:
        segments: of each corpus, the oldest first.
        unigrams: counts over all of them.
        engine, shard_tokens: how segments are made when documents are added.
    """

    segments: Mapping[Label, tuple[str, ...]]
    unigrams: str
    engine: Engine = "pydivsufsort"
    shard_tokens: int = SHARD_TOKENS


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make these folders the index that is shown from now on."""
    body = {
        "format": _FORMAT,
        "schema_version": SCHEMA_VERSION,
        "tokeniser": VERSION,
        "segments": {label: list(names) for label, names in manifest.segments.items()},
        "unigrams": manifest.unigrams,
        "engine": manifest.engine,
        "shard_tokens": manifest.shard_tokens,
    }
    write_json(folder / FILE_NAME, body)


def read_manifest(folder: Path, labels: Sequence[Label]) -> Manifest:
    """Return what is shown.

    Raises:
        IndexFileError: missing, truncated, altered, foreign, or of another version.
    """
    path = folder / FILE_NAME
    body = read_json(path)
    if body.get("format") != _FORMAT:
        raise broken(path, "is not of a trace index")
    require_version(body, folder)
    try:
        segments = {label: tuple(map(_plain, body["segments"][label])) for label in labels}
        if body["engine"] not in get_args(Engine):
            raise ValueError("no such engine")
        return Manifest(segments, _plain(body["unigrams"]), body["engine"], int(body["shard_tokens"]))
    except (KeyError, TypeError, ValueError) as error:
        raise broken(path, "does not name its parts") from error


def write_unigrams(folder: Path, parts: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> str:
    """Write the pooled counts of several segments and return the name of their folder."""
    table, counts = pooled(parts)
    facts = {"total": int(counts.sum()), "discount": estimated_discount(counts)}
    with written_aside(folder) as aside:
        np.save(aside / "lexicon.npy", table, allow_pickle=False)
        np.save(aside / "counts.npy", counts, allow_pickle=False)
        name = f"unigrams-{aside.name.removeprefix(WRITING)}"
        seal(aside, folder / name, facts)
    return name


def read_unigrams(folder: Path, *, whole: bool = False) -> Unigrams:
    """Return the pooled counts, mapped; with `whole` every byte is compared with its hash first.

    Raises:
        IndexFileError: missing, truncated or altered.
    """
    facts = read_seal(folder)
    if whole:
        verify(folder)
    table = open_array(folder / "lexicon.npy", "u", 2)
    counts = open_array(folder / "counts.npy", "i")
    try:
        return Unigrams(table, counts, total=int(facts["total"]), discount=float(facts["discount"]))
    except (KeyError, TypeError, ValueError) as error:
        raise broken(folder / "seal.json", "does not hold the totals") from error


def remove_all_but(folder: Path, kept: set[str]) -> None:
    """Remove folders and left-overs of earlier writing that the manifest does not name."""
    for path in folder.iterdir():
        if path.name.startswith(_OWN) and path.name not in kept:
            with contextlib.suppress(OSError):  # still open elsewhere on Windows: next time
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _plain(name: Any) -> str:
    # A name with a path in it would have files outside the folder opened.
    if not isinstance(name, str) or Path(name).name != name:
        raise ValueError("not a plain name")
    return name
