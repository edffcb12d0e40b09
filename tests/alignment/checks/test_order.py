"""Before and after."""

from __future__ import annotations

import pytest

from ragguard.alignment.checks import compare


@pytest.mark.parametrize(
    ("claim", "source", "expected"),
    [
        ("Rex left before Dino arrived.", "Rex left after Dino arrived.", {"conflicts"}),
        ("Rex left before Dino arrived.", "Dino arrived before Rex left.", {"conflicts"}),
        ("Rex left before Dino arrived.", "After Rex left, Dino arrived.", {"agrees"}),
        ("Rex left after Dino arrived.", "Dino arrived before Rex left.", {"agrees"}),
        (
            "After the vote failed, the cabinet fell.",
            "The vote failed after the cabinet fell.",
            {"conflicts"},
        ),
        ("Rex left before noon.", "Rex left after a quarrel.", set()),
        ("Rex left.", "Rex left after Dino arrived.", set()),
    ],
)
def test_two_events_keep_their_order(claim: str, source: str, expected: set[str]) -> None:
    assert {f.outcome for f in compare(claim, source).findings if f.kind == "order"} == expected
