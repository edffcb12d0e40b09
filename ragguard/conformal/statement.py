"""The promise as one sentence that does not claim more than is proved."""

from __future__ import annotations

from ragguard.conformal.artifact import Artifact

_KEPT = {
    "any": "at least one passage that answers the question is among those kept",
    "all": "every passage that the answer needs is among those kept",
}


def statement(artifact: Artifact) -> str:
    """Return the guarantee of a calibration in plain language.

    It speaks of answerable questions like the calibration ones only, and never
    says that an answer is correct.
    """
    share = f"{1 - artifact.alpha:.4g}"
    scope = " within its group" if "" not in artifact.categories else ""
    if artifact.target == "recall":
        promise = f"the expected share of the relevant passages kept is at least {share}"
    else:
        promise = f"{_KEPT[artifact.target]} with probability at least {share}"
    if artifact.weighting == "estimated":
        promise += " approximately (estimated likelihood ratios)"
    if artifact.delta is None:
        draw = f"on average over calibration sets of n={artifact.n}"
    else:
        draw = f"with confidence {1 - artifact.delta:.4g} in this calibration set of n={artifact.n}"
    turned_away = ""
    # The novelty test's level is for questions like those calibrated on, not for shifted ones.
    if artifact.novelty_level is not None and artifact.weighting is None:
        turned_away = f" At most a share of {artifact.novelty_level:.4g} of them is turned away as novel."
    return f"For answerable questions like those calibrated on, {promise}{scope}, {draw}.{turned_away}"
