"""Which questions are learned from, which choose the checkpoint, and which judge it.

What is drawn into a split is a cluster of questions, never one alone: a
paraphrase, an augmentation or another case of a template in the training split
would answer for its twin in the test split.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ragguard.errors import PreferenceSetError, SplitLeakageError
from ragguard.preference.groups import Group
from ragguard.text.words import content_words

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
_NAMES = {"held_out": TEST, "held-out": TEST, "dev": VALIDATION, "valid": VALIDATION, "tuning": VALIDATION}
SIMILAR = 0.8
"""Share of content words in common (of those in either) from which two questions are near-duplicates."""
_FOREIGN = 0.15
_NAMED = 5


@dataclass(frozen=True)
class Splits:
    """Groups by split, with the cluster of every question.

    Attributes:
        train: to learn from.
        validation: chooses the checkpoint.
        test: judges it, once.
        clusters: question id -> name of its cluster.
        report: what was looked for, as figures and ids.
    """

    train: tuple[Group, ...]
    validation: tuple[Group, ...]
    test: tuple[Group, ...]
    clusters: Mapping[str, str]
    report: Mapping[str, object] = field(default_factory=dict)


def clusters_of(groups: Sequence[Group], *, similar: float = SIMILAR) -> dict[str, str]:
    """Return question id -> cluster; each cluster is named by the least id in it.

    Questions share a cluster where the examples declare the same one, where one is
    declared to be of the cluster of another's id, where their content words are
    nearly the same, or where a chain of such links joins them.

    Args:
        groups: one a question.
        similar: Jaccard index of content words, in (0, 1].
    """
    union = _Union([group.query_id for group in groups])
    known: dict[str, str] = {}
    for group in groups:
        if group.cluster is not None:
            union.join(group.query_id, known.setdefault(group.cluster, group.query_id))
            if group.cluster in union.parent:  # an augmentation names its source's id
                union.join(group.query_id, group.cluster)
    for left, right in _near_duplicates(groups, similar=similar):
        union.join(left, right)
    return {group.query_id: union.find(group.query_id) for group in groups}


def split(
    groups: Sequence[Group],
    *,
    shares: tuple[float, float] = (0.2, 0.3),
    seed: int = 0,
    similar: float = SIMILAR,
) -> Splits:
    """Return the groups in three splits, whole clusters at a time.

    Splits that the examples declare are kept ("held_out" is a test split), and
    checked; where no validation split is declared, one is drawn from the training
    split. Otherwise clusters are taken in the order of a hash of their name and the
    seed, so the order of the groups changes nothing, and the shares are met as
    nearly as whole clusters allow.

    Args:
        groups: one a question.
        shares: of the validation and the test split.
        seed: of the draw.
        similar: as in `clusters_of`.

    Raises:
        SplitLeakageError: the declared splits tear a cluster apart.
        PreferenceSetError: an unknown split is declared, only some questions have one, or a split is empty.
    """
    clusters = clusters_of(groups, similar=similar)
    declared = {group.query_id: _declared(group) for group in groups if group.split is not None}
    if declared and len(declared) != len(groups):
        raise PreferenceSetError(
            f"{len(groups) - len(declared)} of {len(groups)} questions have no split",
            hint="give all one, or none",
        )
    if declared:
        _require_whole(declared, clusters)
        if VALIDATION not in declared.values():
            inner = [g for g in groups if declared[g.query_id] == TRAIN]
            declared |= {
                query: VALIDATION
                for query, where in _drawn(inner, clusters, shares=(shares[0], 0.0), seed=seed).items()
                if where == VALIDATION
            }
        placed = declared
    else:
        placed = _drawn(groups, clusters, shares=shares, seed=seed)
    found = {name: tuple(g for g in groups if placed[g.query_id] == name) for name in SPLITS}
    empty = [name for name in SPLITS if not found[name]]
    if empty:
        raise PreferenceSetError(
            f"{len(groups)} questions in {len(set(clusters.values()))} clusters leave {' and '.join(empty)} empty",
            hint="probe more questions that are not near-duplicates",
        )
    report = {"clusters": len(set(clusters.values())), "declared": bool(declared), **_shared(found)}
    return Splits(found[TRAIN], found[VALIDATION], found[TEST], clusters, report)


def foreign_groups(groups: Sequence[Group]) -> list[str]:
    """Return ids of questions whose passages seem to be another question's.

    Such a group has next to none of the question's content words (weighted by how
    rare they are among all questions) in any of its passages, and no passage
    helped. Questions in another language than their passages look the same: it is
    a reason to look, not a proof.
    """
    words = {group.query_id: content_words(group.query) for group in groups}
    often = Counter(word for found in words.values() for word in found)
    foreign = []
    for group in groups:
        mine = words[group.query_id]
        total = sum(1.0 / often[word] for word in mine)
        if len(mine) < 2 or any(member.gain > 0 for member in group.members):
            continue
        best = max(
            sum(1.0 / often[word] for word in mine & content_words(member.passage))
            for member in group.members
        )
        if best < _FOREIGN * total:
            foreign.append(group.query_id)
    return foreign


def _declared(group: Group) -> str:
    name = _NAMES.get(group.split or "", group.split)
    if name not in SPLITS:
        raise PreferenceSetError(
            f"question {group.query_id!r} has the split {str(group.split)[:20]!r}",
            hint=f"known are {', '.join((*SPLITS, *sorted(_NAMES)))}",
        )
    return name


def _require_whole(placed: Mapping[str, str], clusters: Mapping[str, str]) -> None:
    where: dict[str, set[str]] = {}
    for query, name in placed.items():
        where.setdefault(clusters[query], set()).add(name)
    torn = sorted(cluster for cluster, names in where.items() if len(names) > 1)
    if torn:
        raise SplitLeakageError(
            f"{len(torn)} clusters of near-duplicate or augmented questions lie in several splits, "
            f"among them those of {', '.join(torn[:_NAMED])}",
            hint="put all questions of a cluster into one split, or declare none",
            details={"clusters": torn},
        )


def _drawn(
    groups: Sequence[Group], clusters: Mapping[str, str], *, shares: tuple[float, float], seed: int
) -> dict[str, str]:
    members: dict[str, list[str]] = {}
    for group in groups:
        members.setdefault(clusters[group.query_id], []).append(group.query_id)
    order = sorted(members, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    placed: dict[str, str] = {}
    wanted = {TEST: shares[1] * len(groups), VALIDATION: shares[0] * len(groups)}
    filled: Counter[str] = Counter()
    for name in order:
        size = len(members[name])
        # A cluster larger than half of what is still free would swallow a split: it is trained on.
        to = next((s for s, most in wanted.items() if filled[s] + size / 2 <= most), TRAIN)
        filled[to] += size
        placed |= dict.fromkeys(members[name], to)
    return placed


def _shared(found: Mapping[str, Sequence[Group]]) -> dict[str, object]:
    """How many test passages were also trained on: no leak of labels, but of texts, so it is told."""
    texts = {name: {m.passage for g in groups for m in g.members} for name, groups in found.items()}
    seen = texts[TEST] & (texts[TRAIN] | texts[VALIDATION])
    return {
        "questions": {name: len(groups) for name, groups in found.items()},
        "test_passages": len(texts[TEST]),
        "test_passages_also_trained_on": len(seen),
    }


def _near_duplicates(groups: Sequence[Group], *, similar: float) -> list[tuple[str, str]]:
    """Pairs above the similarity: of two such questions one has a rare word of the other among its rarest."""
    words = {g.query_id: frozenset(content_words(g.query)) or frozenset([g.query.casefold()]) for g in groups}
    often = Counter(word for found in words.values() for word in found)
    holders: dict[str, list[str]] = {}
    pairs = []
    for query, mine in words.items():
        rarest = sorted(mine, key=lambda word: (often[word], word))
        # Sharing `similar` of all words means sharing one of the rarest (1 - similar) + 1.
        prefix = rarest[: len(rarest) - int(-(-similar * len(rarest) // 1)) + 1]
        seen = {other for word in prefix for other in holders.get(word, ())}
        for other in sorted(seen):
            theirs = words[other]
            if len(mine & theirs) >= similar * len(mine | theirs):
                pairs.append((query, other))
        for word in prefix:
            holders.setdefault(word, []).append(query)
    return pairs


class _Union:
    """Disjoint sets, each named by its least member."""

    def __init__(self, names: Sequence[str]) -> None:
        self.parent = {name: name for name in names}

    def find(self, name: str) -> str:
        while self.parent[name] != name:
            self.parent[name] = name = self.parent[self.parent[name]]
        return name

    def join(self, left: str, right: str) -> None:
        a, b = sorted((self.find(left), self.find(right)))
        self.parent[b] = a
